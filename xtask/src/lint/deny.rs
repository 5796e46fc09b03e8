//! Licences, sources, bans and duplicates of all crates in `Cargo.lock`, by
//! cargo-deny, which reads `deny.toml`. No network is needed.

use std::path::Path;
use std::process::Command;

use crate::command::run;
use crate::{setup, workspace};

/// Fails if a crate breaks one of the rules; cargo-deny names it.
pub fn check() -> anyhow::Result<()> {
    setup::deny()?;
    let manifest = workspace::root().join("Cargo.toml");
    run(command(&manifest)?.args(["--deny", "unmatched-skip"]))
}

/// Returns the command of cargo-deny with our rules, for the workspace of this
/// `Cargo.toml`.
fn command(manifest: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(setup::deny::find()?);
    command
        .args(["--offline", "--manifest-path"])
        .arg(manifest)
        .arg("--config")
        .arg(workspace::root().join("deny.toml"))
        .args(["check", "licenses", "bans", "sources"]);
    Ok(command)
}

#[cfg(test)]
mod tests;
