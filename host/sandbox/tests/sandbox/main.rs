//! The sandbox as its callers see it, with small guests compiled on the spot.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod contract;
mod guest;
mod policy;
mod registry;
