//! The binary as a user meets it: real processes, real files, a real control
//! plane. Everything listens on the loopback interface alone.
#![allow(clippy::unwrap_used, reason = "tests")]

mod authoring;
mod cli;
mod daemon;
mod demo;
mod real_cluster;
mod records;
mod simulate;
mod support;
