//! Installs cargo-deny into the cache, for `cargo xtask lint` and its tests.

use std::path::PathBuf;

use anyhow::ensure;
use flyball_test_support::binaries::cache_root;

use crate::command::{run, step};
use crate::workspace;

const VERSION: &str = "0.20.2";

pub fn install_if_missing() -> anyhow::Result<()> {
    let folder = folder()?;
    if let Ok(program) = find() {
        eprintln!("cargo-deny: {}", program.display());
        return Ok(());
    }
    let what = format!("installing cargo-deny {VERSION} into {}", folder.display());
    step(&what, || {
        // A debug build takes half the time, and is fast enough to check in seconds.
        run(workspace::cargo()
            .args(["install", "cargo-deny", "--version", VERSION])
            .args(["--locked", "--debug", "--root"])
            .arg(folder)
            .env("CARGO_PROFILE_DEV_DEBUG", "false"))
    })
}

/// Returns the path of cargo-deny.
///
/// # Errors
/// If it has not been installed yet; the message names the command.
pub fn find() -> anyhow::Result<PathBuf> {
    let program = folder()?.join("bin/cargo-deny");
    ensure!(
        program.is_file(),
        "cargo-deny is missing (looked for {}): run `cargo xtask setup lint`",
        program.display()
    );
    Ok(program)
}

fn folder() -> anyhow::Result<PathBuf> {
    Ok(cache_root()?.join(format!("cargo-deny-{VERSION}")))
}
