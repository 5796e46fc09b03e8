#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use serde_json::{Value, json};

use super::{check, violations};

/// Returns `cargo metadata`'s output for a workspace with these members and these edges
/// (from, to, kind).
fn metadata(members: &[&str], edges: &[(&str, &str, Option<&str>)]) -> Value {
    let mut names: Vec<&str> = edges.iter().flat_map(|edge| [edge.0, edge.1]).collect();
    names.extend(members);
    names.sort_unstable();
    names.dedup();
    let nodes: Vec<Value> = names
        .iter()
        .map(|name| {
            let from_here = edges.iter().filter(|edge| edge.0 == *name);
            let deps: Vec<Value> = from_here
                .map(|(_, to, kind)| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] }))
                .collect();
            json!({ "id": name, "deps": deps })
        })
        .collect();
    let packages: Vec<Value> = names
        .iter()
        .map(|name| json!({ "id": name, "name": name }))
        .collect();
    json!({ "packages": packages, "resolve": { "nodes": nodes }, "workspace_members": members })
}

const MEMBERS: [&str; 3] = ["flyball-decision", "flyball-sandbox", "flyball-kubernetes"];

#[test]
fn this_workspace_keeps_to_the_arrows() {
    check().unwrap();
}

#[test]
fn allowed_arrows_and_those_of_tests_pass() {
    let metadata = metadata(
        &MEMBERS,
        &[
            ("flyball-sandbox", "flyball-decision", None),
            ("flyball-sandbox", "wasmtime", None),
            ("flyball-kubernetes", "kube", None),
            ("flyball-decision", "flyball-sandbox", Some("dev")),
            ("flyball-decision", "kubernetes-free", None),
        ],
    );
    assert_eq!(violations(&metadata).unwrap(), Vec::<String>::new());
}

#[test]
fn an_arrow_the_wrong_way_is_named() {
    let edges = [("flyball-sandbox", "flyball-kubernetes", None)];
    assert_eq!(
        violations(&metadata(&MEMBERS, &edges)).unwrap(),
        ["flyball-sandbox must not depend on flyball-kubernetes"]
    );
}

#[test]
fn a_forbidden_crate_is_found_however_far_it_is() {
    let edges = [
        ("flyball-decision", "harmless", Some("build")),
        ("harmless", "kube-client", None),
    ];
    assert_eq!(
        violations(&metadata(&MEMBERS, &edges)).unwrap(),
        [
            "flyball-decision must not depend on kube-client (flyball-decision → harmless → kube-client)"
        ]
    );
    let edges = [("flyball-placement", "k8s-openapi", None)];
    assert_eq!(
        violations(&metadata(&["flyball-placement"], &edges)).unwrap(),
        ["flyball-placement must not depend on k8s-openapi (flyball-placement → k8s-openapi)"]
    );
}

#[test]
fn a_crate_that_nobody_placed_is_named() {
    assert_eq!(
        violations(&metadata(&["flyball-shiny"], &[])).unwrap(),
        ["flyball-shiny is not in the table of lint/arrows.rs"]
    );
}
