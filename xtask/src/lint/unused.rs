//! Dependencies that no source file names.
//!
//! A dependency counts as used if a file of its kind (`src` for a normal one, tests,
//! benchmarks and examples too for one of tests, `build.rs` for one of the build)
//! has its name in front of `::`, or behind `use` or `extern crate`. Comments do not
//! count. What a macro hides in a string is not seen; no dependency of ours is used
//! that way alone.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::workspace;

/// Fails when a crate of the workspace has a dependency that it does not use.
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
    /// The name that source files use.
    fn identifier(&self) -> String {
        let name = self.rename.as_ref().unwrap_or(&self.name);
        name.replace('-', "_")
    }

    /// Where its uses can be, relative to the crate's folder.
    fn places(&self) -> &'static [&'static str] {
        match self.kind.as_deref() {
            Some("build") => &["build.rs"],
            Some("dev") => &["src", "tests", "benches", "examples"],
            _ => &["src"],
        }
    }
}

/// Returns the unused dependencies of the workspace's crates, in words.
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

/// Whether a Rust file, or one below a folder, uses the crate of this name. A file or
/// folder that does not exist uses none.
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

/// Whether a line of code has the name in front of `::`, or behind `use` or
/// `extern crate`.
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
