//! `cargo xtask image`: the message where buildah is missing, the files of the image, and
//! the name that it gets.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

#[test]
fn without_buildah_it_says_so_before_it_builds_anything() {
    let empty = tempfile::tempdir().unwrap();
    let output = image(empty.path(), &["--binary", "/nonexistent"]);
    assert!(!output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with("error: buildah is missing:"), "{errors}");
    for remedy in ["apt-get install buildah", "cargo xtask image --context"] {
        assert!(errors.contains(remedy), "{errors}");
    }
}

/// The libraries in the image are all that its binary needs.
#[test]
fn the_build_context_has_all_that_the_binary_loads() {
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context");
    let tools = folder.path().join("tools");
    fs::create_dir(&tools).unwrap();
    symlink(find("ldd"), tools.join("ldd")).unwrap();
    symlink(find("bash"), tools.join("bash")).unwrap();
    let arguments = ["--binary", XTASK, "--context", context.to_str().unwrap()];
    let output = image(&tools, &arguments);
    assert!(output.status.success(), "{output:?}");
    assert!(context.join("Containerfile").is_file());

    let root = context.join("root");
    let libraries = files(&root).into_iter().filter(|file| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.contains(".so")
    });
    let libraries: Vec<PathBuf> = libraries.collect();
    let is_loader = |file: &&PathBuf| file.to_string_lossy().contains("/ld-");
    let loader = libraries.iter().find(is_loader).unwrap();
    let folders: Vec<_> = libraries
        .iter()
        .map(|file| file.parent().unwrap().to_str().unwrap())
        .collect();
    let output = Command::new(loader)
        .args(["--inhibit-cache", "--list", "--library-path"])
        .arg(folders.join(":"))
        .arg(root.join("usr/bin/flyball"))
        .output()
        .unwrap();
    let loaded = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{loaded}");
    let outside = |line: &&str| {
        let path = line.split(" => ").nth(1);
        path.is_some_and(|path| !path.starts_with(root.to_str().unwrap()))
    };
    assert_eq!(loaded.lines().find(outside), None, "{loaded}");
}

#[test]
fn buildah_gets_the_name_that_the_manifest_has() {
    let folder = tempfile::tempdir().unwrap();
    let buildah = folder.path().join("buildah");
    let script = format!(
        "#!/bin/sh\necho \"$@\" > {}/called\n",
        folder.path().display()
    );
    fs::write(&buildah, script).unwrap();
    fs::set_permissions(&buildah, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", folder.path().display());
    let output = image(Path::new(&path), &["--binary", XTASK]);
    assert!(output.status.success(), "{output:?}");
    let called = fs::read_to_string(folder.path().join("called")).unwrap();
    let manifest =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/kubernetes/deploy/flyball.yaml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let name = called.split_whitespace().nth(2).unwrap();
    assert!(called.starts_with("build --tag "), "{called}");
    assert!(manifest.contains(&format!("image: {name}\n")), "{called}");
}

fn image(path: &Path, arguments: &[&str]) -> Output {
    Command::new(XTASK)
        .arg("image")
        .args(arguments)
        .env("PATH", path)
        .output()
        .unwrap()
}

/// Returns the path of a program.
fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|file| file.is_file()).unwrap()
}

/// Returns all files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}
