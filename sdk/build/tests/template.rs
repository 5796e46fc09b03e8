//! A new policy as `flyball policy new` makes it, built from source.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use flyball_build::{BuildError, BuildRequest, build};

/// Largest component allowed for a policy with a configuration, in bytes.
const LIMIT: usize = 150 * 1024;

#[test]
fn a_new_policy_builds_and_reproduces() {
    let work = tempfile::tempdir().unwrap();
    let [here, there] =
        ["here", "a/longer/way/there"].map(|name| new_policy(&work.path().join(name), "template"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("template");
    let built = build(&BuildRequest::new(&here, &target)).unwrap();
    assert_eq!(
        (built.name.as_str(), &built.path),
        ("my-policy", &target.join("my-policy.wasm"))
    );
    assert_eq!(fs::read(&built.path).unwrap(), built.component);
    let size = built.component.len();
    assert!(size <= LIMIT, "{size} bytes, {LIMIT} are allowed");
    let text = String::from_utf8_lossy(&built.component);
    assert!(
        text.contains("The share of its request that a pod should use."),
        "no schema in it"
    );
    assert!(
        !text.contains(&*work.path().to_string_lossy()),
        "it names a path of this machine"
    );

    let again = build(&BuildRequest::new(&there, &target)).unwrap();
    assert!(
        again.component == built.component,
        "another folder gives another component"
    );

    let source = here.join("src/lib.rs");
    let broken = fs::read_to_string(&source)
        .unwrap()
        .replace("Decision::to(wanted", "Decision::too(wanted");
    fs::write(&source, broken).unwrap();
    let error = build(&BuildRequest::new(&here, &target)).unwrap_err();
    assert!(matches!(error, BuildError::Cargo { .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("package my-policy") && error.contains("too"),
        "{error}"
    );
}

#[test]
fn a_new_expander_builds() {
    let work = tempfile::tempdir().unwrap();
    let folder = new_policy(&work.path().join("here"), "template-expander");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("template-expander");
    let size = build(&BuildRequest::new(&folder, &target))
        .unwrap()
        .component
        .len();
    assert!(size <= LIMIT, "{size} bytes, {LIMIT} are allowed");
}

#[test]
fn what_is_no_policy_is_named() {
    let work = tempfile::tempdir().unwrap();
    let ask = |folder: &Path| build(&BuildRequest::new(folder, work.path().join("target")));
    let error = ask(&work.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, BuildError::NoPackage { .. }), "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");

    let folder = new_policy(&work.path().join("plain"), "template");
    let manifest = folder.join("Cargo.toml");
    let without = fs::read_to_string(&manifest)
        .unwrap()
        .replace("\"cdylib\", ", "");
    fs::write(&manifest, without).unwrap();
    let error = ask(&folder).unwrap_err();
    assert!(matches!(error, BuildError::CrateTypes { .. }), "{error}");
}

/// A template filled in, with a copy of the SDK, in `folder`.
fn new_policy(folder: &Path, template: &str) -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sdk = repository.join("sdk/rust");
    copy(&sdk.join(template), folder, &|text| {
        text.replace("{{name}}", "my-policy")
            .replace("{{sdk}}", "sdk")
    });
    fs::rename(
        folder.join("Cargo.toml.template"),
        folder.join("Cargo.toml"),
    )
    .unwrap();
    for part in ["src", "wit"] {
        copy(&sdk.join(part), &folder.join("sdk").join(part), &|text| {
            text
        });
    }
    fs::copy(sdk.join("Cargo.toml"), folder.join("sdk/Cargo.toml")).unwrap();
    fs::copy(repository.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    folder.to_owned()
}

fn copy(from: &Path, to: &Path, edit: &dyn Fn(String) -> String) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target, edit);
        } else {
            fs::write(target, edit(fs::read_to_string(&path).unwrap())).unwrap();
        }
    }
}
