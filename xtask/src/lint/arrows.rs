//! Checks the dependencies between crates.
//!
//! Dependencies that only tests have (`dev-dependencies`) are not restricted.
//! ARCHITECTURE.md has the reasons.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::workspace;

/// Every crate of the workspace, and the crates of the workspace that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("flyball-decision", &[]),
    ("flyball-placement", &[]),
    ("flyball-replicas", &["flyball-decision"]),
    ("flyball-nodes", &["flyball-decision", "flyball-placement"]),
    ("flyball-tasks", &[]),
    ("flyball-sandbox", &["flyball-decision", "flyball-tasks"]),
    (
        "flyball-kubernetes",
        &[
            "flyball-decision",
            "flyball-nodes",
            "flyball-placement",
            "flyball-replicas",
            "flyball-tasks",
        ],
    ),
    (
        "flyball-sources",
        &["flyball-decision", "flyball-kubernetes", "flyball-replicas"],
    ),
    ("flyball-cloud", &["flyball-decision", "flyball-nodes"]),
    ("flyball-files", &[]),
    (
        "flyball-simulation",
        &[
            "flyball-decision",
            "flyball-files",
            "flyball-nodes",
            "flyball-placement",
            "flyball-replicas",
        ],
    ),
    (
        "flyball-report",
        &[
            "flyball-decision",
            "flyball-nodes",
            "flyball-replicas",
            "flyball-simulation",
        ],
    ),
    (
        "flyball",
        &[
            "flyball-build",
            "flyball-cloud",
            "flyball-decision",
            "flyball-files",
            "flyball-kubernetes",
            "flyball-nodes",
            "flyball-placement",
            "flyball-policies",
            "flyball-replicas",
            "flyball-report",
            "flyball-sandbox",
            "flyball-simulation",
            "flyball-sources",
            "flyball-tasks",
        ],
    ),
    // Policies never depend on the host's crates.
    ("flyball-policy", &[]),
    ("cheapest", &["flyball-policy"]),
    ("hpa", &["flyball-policy"]),
    ("consolidate", &["flyball-policy"]),
    ("costliest-first", &["flyball-policy"]),
    ("drain-rules", &["flyball-policy"]),
    ("least-nodes", &["flyball-policy"]),
    ("least-waste", &["flyball-policy"]),
    ("most-pods", &["flyball-policy"]),
    ("predictive", &["flyball-policy"]),
    ("price", &["flyball-policy"]),
    ("priority", &["flyball-policy"]),
    ("quiet-hours", &["flyball-policy"]),
    ("random", &["flyball-policy"]),
    ("scheduled-floor", &["flyball-policy"]),
    ("utilization", &["flyball-policy"]),
    ("flyball-policies", &["flyball-build"]),
    ("flyball-build", &[]),
    ("flyball-tests", &["flyball-build", "flyball-sandbox"]),
    (
        "flyball-fuzz",
        &[
            "flyball-decision",
            "flyball-kubernetes",
            "flyball-replicas",
            "flyball-report",
            "flyball-sandbox",
            "flyball-simulation",
            "flyball-sources",
            "flyball-test-support",
        ],
    ),
    (
        "flyball-test-plans",
        &[
            "flyball-decision",
            "flyball-nodes",
            "flyball-placement",
            "flyball-test-policies",
        ],
    ),
    ("flyball-test-policies", &["flyball-decision"]),
    ("flyball-test-support", &[]),
    ("xtask", &["flyball-test-support"]),
];

/// Third-party crates that must not be reached, not even through dependencies of
/// dependencies. A name also stands for its family: `kube` for `kube-client`.
const FORBIDDEN: &[(&str, &[&str])] = &[
    // Pure functions on plain data.
    (
        "flyball-decision",
        &["kube", "k8s-openapi", "wasmtime", "tokio", "aws"],
    ),
    (
        "flyball-placement",
        &["kube", "k8s-openapi", "wasmtime", "tokio", "aws"],
    ),
    (
        "flyball-replicas",
        &["kube", "k8s-openapi", "wasmtime", "tokio", "aws"],
    ),
    (
        "flyball-nodes",
        &["kube", "k8s-openapi", "wasmtime", "tokio", "aws"],
    ),
    ("flyball-simulation", &["kube", "k8s-openapi", "wasmtime"]),
    // The sandbox never depends on a Kubernetes client.
    ("flyball-sandbox", &["kube", "k8s-openapi"]),
];

/// Fails if the workspace has a dependency that the tables do not allow.
pub fn check() -> anyhow::Result<()> {
    let violations = violations(&workspace::metadata()?)?;
    if !violations.is_empty() {
        bail!("{}", violations.join("; "));
    }
    Ok(())
}

/// Returns every dependency in `cargo metadata`'s output that is not allowed, as text.
fn violations(metadata: &Value) -> anyhow::Result<Vec<String>> {
    let graph = Graph::read(metadata).context("cargo metadata has an unknown form")?;
    let mut found = Vec::new();
    for member in &graph.members {
        let name = graph.name(member);
        let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
            found.push(format!("{name} is not in the table of lint/arrows.rs"));
            continue;
        };
        for dependency in graph.dependencies(member) {
            let other = graph.name(dependency);
            if graph.members.contains(dependency) && !allowed.contains(&other) {
                found.push(format!("{name} must not depend on {other}"));
            }
        }
        for (_, forbidden) in FORBIDDEN
            .iter()
            .filter(|(crate_name, _)| *crate_name == name)
        {
            found.extend(graph.forbidden_paths(member, forbidden));
        }
    }
    Ok(found)
}

/// Returns the resolved dependencies by package id, without those of tests.
struct Graph<'a> {
    members: BTreeSet<&'a str>,
    names: BTreeMap<&'a str, &'a str>,
    dependencies: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Graph<'a> {
    fn read(metadata: &'a Value) -> Option<Self> {
        let mut names = BTreeMap::new();
        for package in metadata["packages"].as_array()? {
            names.insert(package["id"].as_str()?, package["name"].as_str()?);
        }
        let mut dependencies = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array()? {
            let mut ids = Vec::new();
            for dependency in node["deps"].as_array()? {
                let kinds = dependency["dep_kinds"].as_array()?;
                if kinds.iter().any(|kind| kind["kind"] != "dev") {
                    ids.push(dependency["pkg"].as_str()?);
                }
            }
            dependencies.insert(node["id"].as_str()?, ids);
        }
        let members = metadata["workspace_members"].as_array()?;
        Some(Self {
            members: members.iter().map(Value::as_str).collect::<Option<_>>()?,
            names,
            dependencies,
        })
    }

    fn name(&self, id: &str) -> &'a str {
        self.names.get(id).copied().unwrap_or("an unnamed package")
    }

    fn dependencies(&self, id: &str) -> &[&'a str] {
        self.dependencies.get(id).map_or(&[], Vec::as_slice)
    }

    /// Returns a sentence for each forbidden crate that can be reached, with a shortest
    /// path to it.
    fn forbidden_paths(&self, from: &'a str, forbidden: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let mut came_from = BTreeMap::from([(from, None)]);
        let mut queue = VecDeque::from([from]);
        while let Some(id) = queue.pop_front() {
            if forbidden.iter().any(|family| is_of(self.name(id), family)) {
                let path = self.path_to(id, &came_from);
                let (name, start) = (self.name(id), self.name(from));
                found.push(format!("{start} must not depend on {name} ({path})"));
                continue;
            }
            for &next in self.dependencies(id) {
                if !came_from.contains_key(next) {
                    came_from.insert(next, Some(id));
                    queue.push_back(next);
                }
            }
        }
        found
    }

    fn path_to(&self, id: &'a str, came_from: &BTreeMap<&'a str, Option<&'a str>>) -> String {
        let mut names = vec![self.name(id)];
        let mut at = id;
        while let Some(Some(previous)) = came_from.get(at) {
            names.push(self.name(previous));
            at = previous;
        }
        names.reverse();
        names.join(" → ")
    }
}

fn is_of(name: &str, family: &str) -> bool {
    name.strip_prefix(family)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests;
