//! Tests of the sandbox's public interface, with small guests built by the tests.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod contract;
mod guest;
mod policy;
mod registry;
