//! `cargo xtask image`: the container image that the manifest names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::command::{find_program, output, run as run_command, step};
use crate::{setup, workspace};

const MANIFEST: &str = "host/kubernetes/deploy/flyball.yaml";

/// Place of the binary in the image: the search path of the Containerfile.
const BINARY: &str = "usr/bin/flyball";

/// Places where distributions keep the certificates of authorities.
const CERTIFICATES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// Builds the container image that the manifest names, with buildah
///
/// The image has the release binary, the shared libraries that it loads, and the
/// certificates of authorities of this machine; no base image is pulled. Without
/// --name, its name is that of host/kubernetes/deploy/flyball.yaml. To run it in a
/// cluster, push it to a registry that the nodes pull from, and write its name
/// into the manifest.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the image, with registry and tag
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Uses this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,

    /// Only writes the build context to this folder, for another tool, such as
    /// `docker build FOLDER`; buildah is not needed
    #[arg(long, value_name = "FOLDER")]
    context: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Before the build, which takes minutes.
    let buildah = match &arguments.context {
        Some(_) => None,
        None => Some(find_buildah()?),
    };
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => image_of_manifest()?,
    };
    let binary = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => build()?,
    };
    let context = match &arguments.context {
        Some(folder) => folder.clone(),
        None => workspace::target_dir()?.join("image"),
    };
    write_context(&binary, &context)?;
    let Some(buildah) = buildah else {
        println!("build context: {}", context.display());
        return Ok(());
    };
    step(&format!("building the image {name}"), || {
        let mut command = Command::new(buildah);
        run_command(command.args(["build", "--tag", &name]).arg(&context))
    })?;
    println!("image: {name}");
    Ok(())
}

fn find_buildah() -> anyhow::Result<PathBuf> {
    find_program("buildah", &[]).context(
        "buildah is missing: install it (Debian and Ubuntu: `apt-get install buildah`), or write \
         the build context with `cargo xtask image --context FOLDER` and build it with another \
         tool, such as `docker build FOLDER`",
    )
}

/// Returns the name of the image in the manifest.
fn image_of_manifest() -> anyhow::Result<String> {
    let text = fs::read_to_string(workspace::root().join(MANIFEST))
        .with_context(|| format!("cannot read {MANIFEST}"))?;
    let mut lines = text.lines();
    let image = lines.find_map(|line| line.trim().strip_prefix("image: "));
    let image = image.with_context(|| format!("{MANIFEST} names no image"))?;
    Ok(image.to_owned())
}

/// Builds the release binary and returns its path.
fn build() -> anyhow::Result<PathBuf> {
    setup::wasm()?;
    step("building flyball (some minutes the first time)", || {
        run_command(workspace::cargo().args(["build", "--release", "--package", "flyball"]))
    })?;
    Ok(workspace::target_dir()?.join("release/flyball"))
}

/// Writes the Containerfile and the image's files into a folder.
fn write_context(binary: &Path, context: &Path) -> anyhow::Result<()> {
    let root = context.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    copy(binary, &root.join(BINARY))?;
    for library in libraries(binary)? {
        copy(&library, &inside(&root, &library))?;
    }
    let mut certificates = CERTIFICATES.iter().map(Path::new);
    let certificates = certificates.find(|file| file.is_file());
    let certificates = certificates.context(
        "the certificates of authorities are missing, which requests to a cloud need: install \
         them (Debian and Ubuntu: `apt-get install ca-certificates`)",
    )?;
    copy(certificates, &inside(&root, Path::new(CERTIFICATES[0])))?;
    copy(
        &workspace::root().join("host/kubernetes/deploy/Containerfile"),
        &context.join("Containerfile"),
    )
}

/// Returns the shared libraries that a binary loads, and its loader.
fn libraries(binary: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = output(Command::new("ldd").arg(binary))?;
    let mut libraries = Vec::new();
    for line in text.lines() {
        if line.contains("not found") {
            bail!("{} lacks a library: {}", binary.display(), line.trim());
        }
        // `libc.so.6 => /lib/libc.so.6 (0x…)`, or only the path.
        let mut words = line.split_whitespace();
        libraries.extend(words.find(|word| word.starts_with('/')).map(PathBuf::from));
    }
    Ok(libraries)
}

/// Returns the place of a file of this machine in the image.
fn inside(root: &Path, file: &Path) -> PathBuf {
    root.join(file.strip_prefix("/").unwrap_or(file))
}

/// Copies a file, with the folders above it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder)
        .and_then(|()| fs::copy(from, to))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
