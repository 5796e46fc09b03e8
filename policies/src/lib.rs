//! The built-in policies, compiled to components: ordinary policies, embedded so
//! that the daemon works with an empty policies directory.

/// Name and component of each built-in policy.
pub const BUILTIN: &[(&str, &[u8])] =
    &[("hpa", include_bytes!(concat!(env!("OUT_DIR"), "/hpa.wasm")))];

/// The example policy `predictive`, which takes over in the middle of the demo. It
/// is no built-in one: no object can name it.
pub const PREDICTIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/predictive.wasm"));
