//! Finds tests in libraries whose tests are not built.
//!
//! A library without unit tests has `test = false`, one without examples in its docs
//! `doctest = false`: each saves linking a program, or a run of rustdoc. This check makes
//! sure that no test is written where none is run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::workspace;

/// Fails if a library has tests that its `Cargo.toml` switches off.
pub fn check() -> anyhow::Result<()> {
    let untested = untested(&workspace::metadata()?)?;
    if !untested.is_empty() {
        bail!("{}", untested.join("; "));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    targets: Vec<Target>,
}

/// A library, program or test, as `cargo metadata` describes it.
#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: String,
    test: bool,
    doctest: bool,
}

impl Target {
    fn is_library(&self) -> bool {
        let kinds = ["lib", "rlib", "cdylib"];
        self.kind.iter().any(|kind| kinds.contains(&kind.as_str()))
    }
}

/// Returns the tests of the workspace's libraries that never run, as text.
fn untested(metadata: &Value) -> anyhow::Result<Vec<String>> {
    let packages: Vec<Package> = serde_json::from_value(metadata["packages"].clone())
        .context("cargo metadata describes packages in an unknown form")?;
    let members: Vec<String> = serde_json::from_value(metadata["workspace_members"].clone())
        .context("cargo metadata names members in an unknown form")?;
    let mut found = Vec::new();
    for package in packages.iter().filter(|it| members.contains(&it.id)) {
        for target in package.targets.iter().filter(|it| it.is_library()) {
            let folder = Path::new(&target.src_path).parent();
            let folder = folder.with_context(|| format!("{} is in no folder", target.src_path))?;
            let name = &package.name;
            if !target.test && any_file(folder, &has_unit_test)? {
                found.push(format!("{name} has unit tests and says `test = false`"));
            }
            if !target.doctest && any_file(folder, &has_doc_test)? {
                found.push(format!("{name} has doc tests and says `doctest = false`"));
            }
        }
    }
    Ok(found)
}

/// Reports whether `test` holds for the text of a Rust file below a folder.
fn any_file(folder: &Path, test: &dyn Fn(&str) -> bool) -> anyhow::Result<bool> {
    let context = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let holds = if path.is_dir() {
            any_file(&path, test)?
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path);
            test(&text.with_context(|| format!("cannot read {}", path.display()))?)
        } else {
            false
        };
        if holds {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_unit_test(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    lines.any(|line| line == "#[cfg(test)]" || line == "#[test]" || line == "proptest! {")
}

/// Reports whether a doc comment has a block that rustdoc would run: one without a
/// language, or in Rust.
fn has_doc_test(text: &str) -> bool {
    let mut inside = false;
    for line in text.lines().map(str::trim_start) {
        let comment = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"));
        let Some(language) = comment.and_then(|text| text.trim().strip_prefix("```")) else {
            continue;
        };
        let runs = language.split(',').all(|word| RUN.contains(&word.trim()));
        if !inside && runs {
            return true;
        }
        inside = !inside;
    }
    false
}

/// Attributes of blocks that rustdoc compiles.
const RUN: [&str; 5] = ["", "rust", "no_run", "should_panic", "compile_fail"];

#[cfg(test)]
mod tests;
