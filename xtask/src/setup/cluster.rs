//! Builds the control plane's binaries into the cache, where the tests find
//! them (`flyball_test_support::binaries`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flyball_test_support::binaries::{MANIFESTS, cache_dir, kubernetes_version, module_dir};

use super::go::Go;
use crate::command::{output, run, step};

/// Files of the modules that kwokctl reads at run time, and their names in the cache.
const FILES: [(&str, &str, &str); 3] = [
    (
        "sigs.k8s.io/kwok",
        "kustomize/metrics/usage/usage-from-annotation.yaml",
        "usage-from-annotation.yaml",
    ),
    (
        "sigs.k8s.io/kwok",
        "kustomize/metrics/resource/metrics-resource.yaml",
        "metrics-resource.yaml",
    ),
    (
        "sigs.k8s.io/metrics-server",
        "manifests/base",
        "metrics-server",
    ),
];

pub fn install_if_missing() -> anyhow::Result<()> {
    let dir = cache_dir()?;
    if dir.is_dir() {
        eprintln!("Kubernetes binaries: in {}", dir.display());
        return Ok(());
    }
    let go = Go::for_module(&module_dir())?;
    // In the same folder as the final one, so that a rename can move it atomically.
    let partial = dir.with_extension(format!("partial-{}", std::process::id()));
    let built = step(
        &format!("building the Kubernetes binaries into {}", dir.display()),
        || build(&go, &partial).and_then(|()| put_in_place(&partial, &dir)),
    );
    if built.is_err() {
        // The build's own error matters more than an error of cleaning up.
        let _ = fs::remove_dir_all(&partial);
    }
    built
}

fn build(go: &Go, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let version = kubernetes_version()?;
    let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={version}");
    let tools = output(go.command().args(["list", "tool"]))?;
    for tool in tools.lines() {
        step(&format!("building {tool}"), || {
            run(go
                .command()
                .args(["install", "-ldflags", &flags, tool])
                .env("GOBIN", dir))
        })?;
    }
    fs::rename(dir.join("server"), dir.join("etcd")).context("go built no etcd")?;
    for (module, source, name) in FILES {
        let source = module_source(go, module)?.join(source);
        copy(&source, &dir.join(MANIFESTS).join(name))?;
    }
    Ok(())
}

fn module_source(go: &Go, module: &str) -> anyhow::Result<PathBuf> {
    let dir = output(go.command().args(["list", "-m", "-f", "{{.Dir}}", module]))?;
    Ok(dir.into())
}

/// Copies a file or a flat folder without the module cache's permissions, which would
/// keep the copy from being deleted.
fn copy(source: &Path, target: &Path) -> anyhow::Result<()> {
    let copy_file = |source: &Path, target: &Path| -> anyhow::Result<()> {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(target, fs::read(source)?)?)
    };
    if source.is_file() {
        return copy_file(source, target)
            .with_context(|| format!("cannot copy {}", source.display()));
    }
    for entry in fs::read_dir(source).with_context(|| format!("no folder {}", source.display()))? {
        let entry = entry?;
        copy_file(&entry.path(), &target.join(entry.file_name()))
            .with_context(|| format!("cannot copy {}", entry.path().display()))?;
    }
    Ok(())
}

/// Another process may have been faster: its result is equivalent.
fn put_in_place(partial: &Path, dir: &Path) -> anyhow::Result<()> {
    match fs::rename(partial, dir) {
        Err(_) if dir.is_dir() => Ok(fs::remove_dir_all(partial)?),
        result => result.with_context(|| format!("cannot create {}", dir.display())),
    }
}
