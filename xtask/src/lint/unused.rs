//! Finds dependencies that no source file names.
//!
//! A dependency is used if a file of its kind (`src` for a normal one, also tests,
//! benchmarks and examples for a dev one, `build.rs` for a build one) has its name before
//! `::`, or after `use` or `extern crate`. Comments do not count. A use in a string of a
//! macro is not found; no dependency of ours has only such uses.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::workspace;

/// Fails if a crate of the workspace has a dependency that it does not use.
pub fn check() -> anyhow::Result<()> {
    let unused = unused(&workspace::metadata()?)?;
    if !unused.is_empty() {
        bail!("{}", unused.join("; "));
    }
    Ok(())
}

/// A crate, as `cargo metadata` describes it.
#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
    /// `None` for a normal one, else `dev` or `build`.
    kind: Option<String>,
}

impl Dependency {
    /// Name in source files.
    fn identifier(&self) -> String {
        let name = self.rename.as_ref().unwrap_or(&self.name);
        name.replace('-', "_")
    }

    /// Returns where its uses can be, relative to the crate's folder.
    fn places(&self) -> &'static [&'static str] {
        match self.kind.as_deref() {
            Some("build") => &["build.rs"],
            Some("dev") => &["src", "tests", "benches", "examples"],
            _ => &["src"],
        }
    }
}

/// Returns the unused dependencies of the workspace's crates, as text.
fn unused(metadata: &Value) -> anyhow::Result<Vec<String>> {
    let packages: Vec<Package> = serde_json::from_value(metadata["packages"].clone())
        .context("cargo metadata describes packages in an unknown form")?;
    let members: Vec<String> = serde_json::from_value(metadata["workspace_members"].clone())
        .context("cargo metadata names members in an unknown form")?;
    let mut found = Vec::new();
    for package in packages.iter().filter(|it| members.contains(&it.id)) {
        let folder = Path::new(&package.manifest_path)
            .parent()
            .with_context(|| format!("{} is in no folder", package.manifest_path))?;
        for dependency in &package.dependencies {
            let identifier = dependency.identifier();
            let mut is_used = false;
            for place in dependency.places() {
                is_used |= names(&folder.join(place), &identifier)?;
            }
            if !is_used {
                let places = dependency.places().join(", ");
                let (crate_name, name) = (&package.name, &dependency.name);
                found.push(format!(
                    "{crate_name} does not use {name} (looked in {places})"
                ));
            }
        }
    }
    Ok(found)
}

/// Reports whether a Rust file, or one below a folder, uses the crate of this name.
/// Returns false if the path does not exist.
fn names(path: &Path, identifier: &str) -> anyhow::Result<bool> {
    let context = || format!("cannot read {}", path.display());
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(context)? {
            if names(&entry.with_context(context)?.path(), identifier)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    if path.extension().is_none_or(|extension| extension != "rs") || !path.is_file() {
        return Ok(false);
    }
    let text = fs::read_to_string(path).with_context(context)?;
    Ok(text.lines().any(|line| line_uses(line, identifier)))
}

/// Reports whether a line of code has the name before `::`, or after `use` or `extern
/// crate`.
fn line_uses(line: &str, identifier: &str) -> bool {
    let code = line.split_once("//").map_or(line, |(code, _)| code);
    code.match_indices(identifier).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + identifier.len()..]);
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        if before.ends_with(is_part) || after.starts_with(is_part) {
            return false;
        }
        let keyword = before.trim_end();
        after.trim_start().starts_with("::")
            || keyword.ends_with("use")
            || keyword.ends_with("extern crate")
    })
}

#[cfg(test)]
mod tests;
