//! Tests of the AWS provider.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod leading;
mod leaving;
mod moto;
mod vectors;
