//! Facts about the Cargo workspace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::Context as _;
use serde_json::Value;

use crate::command;

/// Returns the repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the command of the cargo that runs us, in the root.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // `cargo xtask` sets these for us. Build scripts that watch them would run again, and
    // compile what depends on them anew, whenever a command is run with and without xtask.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Compiles `flyball` and returns its path. Its dependencies are compiled with the features
/// that they have in tests, so that both compile them once.
pub fn flyball() -> anyhow::Result<PathBuf> {
    command::step("building flyball (some minutes the first time)", || {
        command::run(cargo().args(["build", "--workspace", "--bin", "flyball"]))
    })?;
    Ok(target_dir()?.join("debug/flyball"))
}

/// Returns `cargo metadata` of the workspace, with resolved dependencies.
pub fn metadata() -> anyhow::Result<Value> {
    read_metadata(&[])
}

/// Returns cargo's target directory.
pub fn target_dir() -> anyhow::Result<PathBuf> {
    let metadata = read_metadata(&["--no-deps"])?;
    let dir = metadata["target_directory"].as_str();
    Ok(dir
        .context("cargo metadata names no target_directory")?
        .into())
}

fn read_metadata(arguments: &[&str]) -> anyhow::Result<Value> {
    let text = command::output(
        cargo()
            .args(["metadata", "--format-version", "1"])
            .args(arguments),
    )?;
    serde_json::from_str(&text).context("cannot read what cargo metadata prints")
}

/// Returns the `Cargo.toml` of each of these folders, or of their subfolders if a folder
/// has none itself. Folders that do not exist are skipped.
pub fn manifests_below(folders: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut manifests = Vec::new();
    for folder in folders.iter().map(|folder| root().join(folder)) {
        if !folder.is_dir() {
            continue;
        }
        let own = folder.join("Cargo.toml");
        if own.is_file() {
            manifests.push(own);
            continue;
        }
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            manifests.push(entry?.path().join("Cargo.toml"));
        }
    }
    manifests.retain(|manifest| manifest.is_file());
    manifests.sort();
    Ok(manifests)
}
