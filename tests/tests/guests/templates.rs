//! A new policy as `flyball policy new` makes it, built from source.

use std::fs;
use std::path::{Path, PathBuf};

use flyball_build::{BuildError, BuildRequest, build};
use flyball_test_support::empty_folder;

/// Where cargo lets tests keep files.
const TEMPORARY: &str = env!("CARGO_TARGET_TMPDIR");

/// Largest component allowed for a policy with a configuration, in bytes.
const LIMIT: usize = 150 * 1024;

#[test]
fn a_new_policy_builds_and_reproduces() {
    let work = empty_folder(Path::new(TEMPORARY), "reproduces").unwrap();
    let [here, there] =
        ["here", "a/longer/way/there"].map(|folder| new_policy(&work.path().join(folder)));
    let built = build(&request(&here)).unwrap();
    assert_eq!(
        (built.name.as_str(), &built.path),
        ("my-policy", &here.join("target/my-policy.wasm"))
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

    let again = build(&request(&there)).unwrap();
    assert!(
        again.component == built.component,
        "another folder gives another component"
    );

    let source = here.join("src/lib.rs");
    let broken = fs::read_to_string(&source)
        .unwrap()
        .replace("Decision::to(wanted", "Decision::too(wanted");
    fs::write(&source, broken).unwrap();
    let error = build(&request(&here)).unwrap_err();
    assert!(matches!(error, BuildError::Cargo { .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("package my-policy") && error.contains("too"),
        "{error}"
    );
}

#[test]
fn a_new_policy_of_each_other_kind_builds() {
    for template in ["template-expander", "template-scale-down"] {
        let work = empty_folder(Path::new(TEMPORARY), template).unwrap();
        let folder = fill_in(&work.path().join("here"), template, "my-policy");
        let size = build(&request(&folder)).unwrap().component.len();
        assert!(
            size <= LIMIT,
            "{template}: {size} bytes, {LIMIT} are allowed"
        );
    }
}

#[test]
fn what_is_no_policy_is_named() {
    let work = tempfile::tempdir().unwrap();
    let error = build(&request(&work.path().join("nowhere"))).unwrap_err();
    assert!(matches!(error, BuildError::NoPackage { .. }), "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");

    let folder = new_policy(&work.path().join("plain"));
    let manifest = folder.join("Cargo.toml");
    let without = fs::read_to_string(&manifest)
        .unwrap()
        .replace("\"cdylib\", ", "");
    fs::write(&manifest, without).unwrap();
    let error = build(&request(&folder)).unwrap_err();
    assert!(matches!(error, BuildError::CrateTypes { .. }), "{error}");
}

/// The type of a configuration may come from a crate that the policy's manifest names
/// in place of schemars, or from the standard library, which has no place for a schema.
#[test]
fn a_configuration_never_lacks_its_schema() {
    let work = empty_folder(Path::new(TEMPORARY), "borrower").unwrap();
    let folder = fill_in(&work.path().join("here"), "template", "borrower");
    let manifest = folder.join("Cargo.toml");
    let without_dependencies = fs::read_to_string(&manifest).unwrap();
    let without_dependencies = without_dependencies
        .replace("schemars = \"1\"\n", "")
        .replace("serde = { version = \"1\", features = [\"derive\"] }\n", "");
    let with_settings = without_dependencies.replace(
        "[dependencies]",
        "[dependencies]\nsettings = { path = \"settings\" }",
    );
    let settings = folder.join("settings");
    fs::create_dir_all(settings.join("src")).unwrap();
    fs::write(settings.join("Cargo.toml"), SETTINGS_MANIFEST).unwrap();
    fs::write(settings.join("src/lib.rs"), SETTINGS).unwrap();
    fs::write(&manifest, with_settings).unwrap();
    fs::write(
        folder.join("src/lib.rs"),
        policy_configured_by("settings::Settings"),
    )
    .unwrap();
    let component = build(&request(&folder)).unwrap().component;
    assert!(
        String::from_utf8_lossy(&component).contains("Added to the replicas that there are."),
        "no schema in it"
    );

    fs::remove_dir_all(settings).unwrap();
    fs::write(&manifest, without_dependencies).unwrap();
    let map = "std::collections::BTreeMap<String, i64>";
    fs::write(folder.join("src/lib.rs"), policy_configured_by(map)).unwrap();
    let error = build(&request(&folder)).unwrap_err().to_string();
    assert!(
        error.contains("the configuration has no schema") && error.contains("schemars"),
        "{error}"
    );
}

const SETTINGS_MANIFEST: &str = r#"
[package]
name = "settings"
edition = "2024"

[dependencies]
schemars = "1"
serde = { version = "1", features = ["derive"] }
"#;

const SETTINGS: &str = "
#[derive(serde::Deserialize, schemars::JsonSchema)]
pub struct Settings {
    /// Added to the replicas that there are.
    pub more: i64,
}
";

fn policy_configured_by(config: &str) -> String {
    format!(
        "use flyball_policy::{{Decision, Replica}};

        fn decide(input: &Replica<{config}>) -> Decision {{
            Decision::to(input.running())
        }}

        flyball_policy::replica_policy! {{
            summary: \"As many as there are\",
            config: {config},
            decide: decide,
        }}
        "
    )
}

/// Builds a policy where the built-in ones were compiled, which have the same dependencies.
fn request(folder: &Path) -> BuildRequest {
    let mut request = BuildRequest::new(folder, folder.join("target"));
    request.build_dir = Path::new(TEMPORARY).join("../policies");
    request
}

/// A new replica policy with a copy of the SDK, in `folder`.
fn new_policy(folder: &Path) -> PathBuf {
    fill_in(folder, "template", "my-policy")
}

/// A template filled in for a policy of that name, with a copy of the SDK, in `folder`.
fn fill_in(folder: &Path, template: &str, name: &str) -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sdk = repository.join("sdk/rust");
    copy(&sdk.join(template), folder, &|text| {
        text.replace("{{name}}", name).replace("{{sdk}}", "sdk")
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
