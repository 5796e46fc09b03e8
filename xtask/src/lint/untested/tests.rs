#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use std::fs;

use serde_json::json;

use super::{check, has_doc_test, untested};

#[test]
fn this_workspace_runs_its_tests() {
    check().unwrap();
}

#[test]
fn tests_that_are_switched_off_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let of = |text: &str, test: bool, doctest: bool| {
        let file = folder.path().join("lib.rs");
        fs::write(&file, text).unwrap();
        let target = json!({ "kind": ["lib"], "src_path": file, "test": test, "doctest": doctest });
        let package = json!({ "id": "ours", "name": "ours", "targets": [target] });
        let metadata = json!({ "packages": [package], "workspace_members": ["ours"] });
        untested(&metadata).unwrap()
    };
    let unit = "#[cfg(test)]\nmod tests;\n";
    let doc = "//! ```\n//! ours::run();\n//! ```\n";
    let none = Vec::<String>::new();
    assert_eq!(of("pub fn run() {}\n", false, false), none);
    assert_eq!(of(&[doc, unit].concat(), true, true), none);
    assert_eq!(
        of(&[doc, unit].concat(), false, false),
        [
            "ours has unit tests and says `test = false`",
            "ours has doc tests and says `doctest = false`",
        ]
    );
}

#[test]
fn blocks_of_other_languages_are_no_doc_tests() {
    assert!(has_doc_test("/// ```rust,no_run\n/// run();\n/// ```\n"));
    assert!(has_doc_test(
        "//! ```yaml\n//! a: 1\n//! ```\n//! ```\n//! run();\n//! ```\n"
    ));
    assert!(!has_doc_test(
        "//! ```yaml\n//! a: 1\n//! ```\n/// ```text\n/// x\n/// ```\n"
    ));
    assert!(!has_doc_test("/// ```ignore\n/// run();\n/// ```\n"));
}
