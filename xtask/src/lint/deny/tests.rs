#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use super::command;
use crate::setup::deny::find;

/// Creates a crate with that licence below a folder, in a folder of its name and version.
fn write_crate(folder: &Path, (name, version, licence): (&str, &str, &str), rest: &str) {
    let folder = folder.join(format!("{name}-{version}"));
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("src/lib.rs"), "").unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2024\"\n\
         license = \"{licence}\"\npublish = false\n{rest}"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
}

fn git(folder: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(identity).args(arguments);
    assert!(command.output().unwrap().status.success(), "{arguments:?}");
}

/// A workspace that breaks every rule once: each is reported, but not the one crate that
/// conforms.
#[test]
fn each_rule_can_fail() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for it in [
        ("fine", "1.0.0", "MIT OR GPL-3.0-only"),
        ("copyleft", "1.0.0", "GPL-3.0-only"),
        ("openssl", "1.0.0", "Apache-2.0"),
        ("twice", "1.0.0", "MIT"),
        ("twice", "2.0.0", "MIT"),
        ("fork", "1.0.0", "MIT"),
    ] {
        write_crate(folder, it, "");
    }
    let fork = folder.join("fork-1.0.0");
    git(&fork, &["init", "--quiet"]);
    git(&fork, &["add", "."]);
    git(&fork, &["commit", "--quiet", "--message", "Fork"]);
    let rest = format!(
        "[dependencies]\n\
         fine = {{ path = \"../fine-1.0.0\" }}\n\
         copyleft = {{ path = \"../copyleft-1.0.0\" }}\n\
         openssl = {{ path = \"../openssl-1.0.0\" }}\n\
         twice = {{ path = \"../twice-1.0.0\" }}\n\
         again = {{ package = \"twice\", path = \"../twice-2.0.0\" }}\n\
         fork = {{ git = \"file://{}\" }}\n",
        fork.display()
    );
    write_crate(folder, ("ours", "0.1.0", "Apache-2.0"), &rest);
    let manifest = folder.join("ours-0.1.0/Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut lock = Command::new(cargo);
    lock.args(["generate-lockfile", "--manifest-path"]);
    lock.arg(&manifest).env("CARGO_HOME", folder.join("home"));
    assert!(lock.output().unwrap().status.success());

    let mut check = command(&manifest).unwrap();
    check.env("CARGO_HOME", folder.join("home"));
    let output = check.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{errors}");
    let reported = |code: &str, what: &str| {
        let mut messages = errors
            .split("\nerror[")
            .map(|it| it.trim_start_matches("error["));
        messages.any(|message| message.starts_with(code) && message.contains(what))
    };
    for (code, what) in [
        ("rejected]", "GPL-3.0-only"),
        ("banned]", "openssl"),
        ("duplicate]", "twice"),
        ("source-not-allowed]", "fork"),
    ] {
        assert!(reported(code, what), "{code} {what}: {errors}");
    }
    assert!(!errors.contains("fine"), "{errors}");
}

#[test]
fn the_program_is_there() {
    find().unwrap();
}
