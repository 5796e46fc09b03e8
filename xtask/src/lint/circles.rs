//! Checks that the modules of a crate do not depend on each other in a circle.
//!
//! A module here is one of the crate's root: a file in the source folder together with the
//! folder of its name. Code for tests is not read. ARCHITECTURE.md has the reasons.

mod references;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

use self::references::arrows_of;
use crate::workspace;

/// By module, the modules that it refers to, each with the first file that does so,
/// relative to the crate's folder.
type Arrows = BTreeMap<String, BTreeMap<String, PathBuf>>;

/// Fails if modules of a crate of the workspace depend on each other in a circle.
pub fn check() -> anyhow::Result<()> {
    let circles = circles(&workspace::metadata()?)?;
    if !circles.is_empty() {
        bail!("{}", circles.join("; "));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    workspace_root: PathBuf,
}

/// A crate, as `cargo metadata` describes it.
#[derive(Deserialize)]
struct Package {
    id: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

/// A library, program or test of a crate.
#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

impl Target {
    fn is_test(&self) -> bool {
        let kinds = ["test", "bench", "example", "custom-build"];
        self.kind.iter().any(|kind| kinds.contains(&kind.as_str()))
    }
}

/// Returns the circles in each crate of the workspace, as text.
fn circles(metadata: &Value) -> anyhow::Result<Vec<String>> {
    let metadata = Metadata::deserialize(metadata).context("cargo metadata has an unknown form")?;
    let mut found = Vec::new();
    for package in metadata.packages {
        if !metadata.workspace_members.contains(&package.id) {
            continue;
        }
        let folder = package.manifest_path.parent();
        let folder = folder.context("a Cargo.toml is in no folder")?;
        let name = folder.strip_prefix(&metadata.workspace_root);
        let name = name.unwrap_or(folder).display();
        for target in package.targets.iter().filter(|target| !target.is_test()) {
            found.extend(
                circles_in(folder, &target.src_path)?
                    .iter()
                    .map(|circle| format!("{name}: {circle}")),
            );
        }
    }
    Ok(found)
}

/// Returns the circles in the crate whose root is this file, as text: of those that share
/// a module, a shortest one.
fn circles_in(folder: &Path, root: &Path) -> anyhow::Result<Vec<String>> {
    let arrows = arrows_of(folder, root)?;
    let mut circles: Vec<Vec<&str>> = arrows
        .keys()
        .filter_map(|module| shortest_circle(&arrows, module))
        .collect();
    circles.sort_by_key(Vec::len);
    let mut named = BTreeSet::new();
    circles.retain(|circle| {
        let is_new = circle.iter().all(|module| !named.contains(module));
        if is_new {
            named.extend(circle.iter().copied());
        }
        is_new
    });
    let texts = circles.iter().map(|circle| describe(&arrows, circle));
    Ok(texts.collect())
}

/// Returns the modules of a shortest circle through a module, which is the first of them.
fn shortest_circle<'a>(arrows: &'a Arrows, start: &'a str) -> Option<Vec<&'a str>> {
    let mut came_from = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(module) = queue.pop_front() {
        for next in arrows.get(module).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                let before = |module: &&str| came_from.get(*module).copied();
                let mut circle: Vec<&str> = std::iter::successors(Some(module), before).collect();
                circle.reverse();
                return Some(circle);
            }
            if !came_from.contains_key(next.as_str()) {
                came_from.insert(next.as_str(), module);
                queue.push_back(next);
            }
        }
    }
    None
}

/// Returns a circle as `a → b (file of a) → a (file of b)`.
fn describe(arrows: &Arrows, circle: &[&str]) -> String {
    let mut text = circle.first().copied().unwrap_or_default().to_owned();
    let next = circle.iter().cycle().skip(1);
    for (from, to) in circle.iter().zip(next) {
        let file = arrows.get(*from).and_then(|arrows| arrows.get(*to));
        let file = file.map(|file| file.display().to_string());
        text += &format!(" → {to} ({})", file.unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests;
