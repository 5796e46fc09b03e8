#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{check, line_uses, unused};

#[test]
fn this_workspace_uses_its_dependencies() {
    check().unwrap();
}

/// Creates a crate `ours` in that folder with these dependencies: name, rename, kind.
fn metadata(folder: &Path, dependencies: &[(&str, Option<&str>, Option<&str>)]) -> Value {
    let dependencies: Vec<Value> = dependencies
        .iter()
        .map(|(name, rename, kind)| json!({ "name": name, "rename": rename, "kind": kind }))
        .collect();
    let manifest = folder.join("Cargo.toml");
    json!({
        "packages": [{
            "id": "ours", "name": "ours", "manifest_path": manifest, "dependencies": dependencies,
        }],
        "workspace_members": ["ours"],
    })
}

#[test]
fn a_dependency_is_sought_where_its_kind_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "src/deep/lib.rs",
        "use serde_json::Value;\n// idle::gone()\n",
    );
    write(
        "tests/main.rs",
        "fn main() { tempfile::tempdir(); renamed::run() }\n",
    );
    write("build.rs", "fn main() { codegen::run() }\n");
    write("tests/notes.txt", "idle::gone()\n");
    let dependencies = [
        ("serde-json", None, None),
        ("idle", None, None),
        ("tempfile", None, Some("dev")),
        ("original", Some("renamed"), Some("dev")),
        ("tempfile", None, None),
        ("codegen", None, Some("build")),
        ("serde-json", None, Some("build")),
    ];
    assert_eq!(
        unused(&metadata(folder.path(), &dependencies)).unwrap(),
        [
            "ours does not use idle (looked in src)",
            "ours does not use tempfile (looked in src)",
            "ours does not use serde-json (looked in build.rs)",
        ]
    );
}

#[test]
fn a_use_is_a_path_or_an_import() {
    for line in [
        "use regex;",
        "use regex as re;",
        "pub use regex::Regex;",
        "let it = ::regex::Regex::new(text);",
        "extern crate regex;",
        "#[derive(regex::Thing)] // regex",
    ] {
        assert!(line_uses(line, "regex"), "{line}");
    }
    for line in [
        "let regex = 1;",
        "use regex_lite::Regex;",
        "my_regex::new()",
        "// regex::Regex is heavy",
        "reuse(regex)",
    ] {
        assert!(!line_uses(line, "regex"), "{line}");
    }
}
