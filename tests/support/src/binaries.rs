//! Locations of the binaries of the control plane and of the tests' cloud.
//!
//! Those of the control plane are built once from the Go module in `tests/cluster` (by
//! `cargo xtask setup cluster`) and kept outside the repository, in a cache directory
//! named after that module's content. The directory is created by a rename: if it exists,
//! it is complete.
//!
//! The cloud is Python ([`cloud`]), installed by `cargo xtask setup cloud`. The browser
//! ([`browser`]) is a package of the system, installed by `cargo xtask setup browser`.

pub mod browser;
pub mod cloud;

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

/// Folder in the cache directory with the files that kwokctl needs besides the binaries.
pub const MANIFESTS: &str = "manifests";

/// Environment variable by which controller-runtime's envtest finds a control plane.
const ASSETS: &str = "KUBEBUILDER_ASSETS";
/// Binaries that must be in that folder for it to be used.
const ASSET_NAMES: [&str; 3] = ["etcd", "kube-apiserver", "kubectl"];

/// The Go module that the binaries are built from.
#[must_use]
pub fn module_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster")
}

/// Returns the version of Kubernetes that the module requires, such as `v1.36.3`.
///
/// # Errors
/// If the module's `go.mod` cannot be read or does not name one.
pub fn kubernetes_version() -> anyhow::Result<String> {
    let text = String::from_utf8(read_module_file("go.mod")?).context("go.mod is not UTF-8")?;
    text.lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .and_then(|rest| rest.split_whitespace().next())
        .map(str::to_owned)
        .context("tests/cluster/go.mod does not require k8s.io/kubernetes")
}

/// Returns Flyball's cache directory: `$FLYBALL_CACHE`, else `$XDG_CACHE_HOME/flyball`,
/// else `~/.cache/flyball`.
///
/// # Errors
/// If none of these is set, or the path is relative.
pub fn cache_root() -> anyhow::Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let root = if let Some(dir) = set("FLYBALL_CACHE") {
        PathBuf::from(dir)
    } else if let Some(dir) = set("XDG_CACHE_HOME") {
        Path::new(&dir).join("flyball")
    } else {
        let home = set("HOME").context("no place for a cache: set FLYBALL_CACHE to a folder")?;
        Path::new(&home).join(".cache/flyball")
    };
    ensure!(
        root.is_absolute(),
        "the cache folder {} is relative: set FLYBALL_CACHE to an absolute path",
        root.display()
    );
    Ok(root)
}

/// Returns the folder of the binaries for the module's current content, whether it exists
/// or not.
///
/// # Errors
/// If the module's files cannot be read, or there is no cache directory.
pub fn cache_dir() -> anyhow::Result<PathBuf> {
    let contents = [read_module_file("go.mod")?, read_module_file("go.sum")?];
    keyed_dir("cluster", &contents)
}

/// Returns the folder in the cache that is named after these files' content.
fn keyed_dir(name: &str, contents: &[Vec<u8>]) -> anyhow::Result<PathBuf> {
    let mut hash = Sha256::new();
    contents.iter().for_each(|content| hash.update(content));
    let digest: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(cache_root()?.join(format!("{name}-{}", &digest[..16])))
}

fn read_module_file(name: &str) -> anyhow::Result<Vec<u8>> {
    let path = module_dir().join(name);
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The binaries of a control plane.
#[derive(Debug, Clone)]
pub struct Binaries {
    dir: PathBuf,
    assets: Option<PathBuf>,
}

impl Binaries {
    /// Finds the binaries. etcd, kube-apiserver and kubectl come from the folder that
    /// `KUBEBUILDER_ASSETS` names, if it has them.
    ///
    /// # Errors
    /// If they have not been built yet; the message names the command.
    pub fn find() -> anyhow::Result<Self> {
        let dir = cache_dir()?;
        ensure!(
            dir.is_dir(),
            "the Kubernetes binaries are missing (looked in {}): run `cargo xtask setup cluster`",
            dir.display()
        );
        let assets = env::var_os(ASSETS)
            .map(PathBuf::from)
            .filter(|assets| ASSET_NAMES.iter().all(|name| assets.join(name).is_file()));
        Ok(Self { dir, assets })
    }

    /// Returns the path of a binary, by its usual name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        match &self.assets {
            Some(assets) if ASSET_NAMES.contains(&name) => assets.join(name),
            _ => self.dir.join(name),
        }
    }

    /// Returns the path of a file or folder that kwokctl reads.
    #[must_use]
    pub fn manifest(&self, name: &str) -> PathBuf {
        self.dir.join(MANIFESTS).join(name)
    }
}
