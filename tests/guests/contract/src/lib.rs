//! A guest for each version of the contract, of the name of its directory in
//! `wit/`, written on that directory alone: with wit-bindgen and without the SDK.
//! They prove that the contract suffices to write a policy, and that what was
//! built for a version goes on loading.
