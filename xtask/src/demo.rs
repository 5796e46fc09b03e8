//! `cargo xtask demo`: from a fresh clone to a running demo.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::{setup, workspace};

/// Builds flyball and runs its demo: a day's load in fast time, nodes ordered for it,
/// and a policy and an expander replaced half way
///
/// Needs no cluster. The first time everything is compiled, which takes some
/// minutes. At the end it leaves a report in HTML and says where.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Arguments passed on to `flyball demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    demo: Vec<String>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    setup::wasm()?;
    let flyball = workspace::flyball()?;
    // Replaces this process, so that its exit code and the terminal's signals are its
    // own.
    let error = Command::new(&flyball)
        .arg("demo")
        .args(&arguments.demo)
        .exec();
    Err(error).with_context(|| format!("cannot run {}", flyball.display()))
}
