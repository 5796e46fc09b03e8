//! Tests of the sources of metrics.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod api_server;
mod bodies;
mod metricsapi;
mod paths;
mod tenants;
