//! Finds dependencies that have other features in tests than in `flyball`.
//!
//! Cargo compiles such a dependency twice, and everything that depends on it, which can be
//! most of the workspace. Both need the same features: those that the workspace's
//! `Cargo.toml` gives it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

use crate::{command, workspace};

/// Fails if dependencies of the workspace's tests give a crate other features.
pub fn check() -> anyhow::Result<()> {
    let differing = differing(&tree("no-dev")?, &tree("normal,build,dev")?);
    if !differing.is_empty() {
        bail!(
            "give them the same features in the workspace's Cargo.toml: {}",
            differing.join("; ")
        );
    }
    Ok(())
}

/// Returns each crate of the workspace's dependencies with its features, a line for each
/// time that it is compiled: a crate that build scripts use may have others there.
fn tree(edges: &str) -> anyhow::Result<String> {
    command::output(
        workspace::cargo()
            .args(["tree", "--workspace", "--prefix", "none"])
            .args(["--format", "{p}|{f}", "--edges", edges]),
    )
}

/// Returns the crates whose features are not the same in both trees, as text.
fn differing(without_tests: &str, with_tests: &str) -> Vec<String> {
    let with_tests = features(with_tests);
    let mut found = Vec::new();
    for (package, features) in features(without_tests) {
        if let Some(in_tests) = with_tests.get(package)
            && *in_tests != features
        {
            found.push(format!(
                "{package} has the features {features:?}, and in tests {in_tests:?}"
            ));
        }
    }
    found
}

/// Reads lines such as `tokio v1.54.1|net,time (*)`.
fn features(tree: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in tree.lines() {
        let line = line.strip_suffix(" (*)").unwrap_or(line);
        if let Some((package, features)) = line.split_once('|') {
            all.entry(package).or_default().insert(features);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::differing;

    #[test]
    fn a_crate_with_a_feature_only_in_tests_is_named() {
        let without_tests = "a v1.0.0|std\nb v2.0.0|\nb v2.0.0|std (*)\n\nc v3.0.0|";
        let with_tests = "a v1.0.0|std (*)\nb v2.0.0|std\nc v3.0.0|\nd v4.0.0|";
        let expected = r#"b v2.0.0 has the features {"", "std"}, and in tests {"std"}"#;
        assert_eq!(differing(without_tests, with_tests), [expected]);
        assert!(differing(with_tests, with_tests).is_empty());
    }
}
