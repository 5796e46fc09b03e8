//! What cargo knows of a package.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::BuildRequest;
use crate::error::BuildError;
use crate::toolchain::Toolchain;

/// A package of cargo's.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
    /// Folder of the lock file.
    #[serde(skip)]
    pub(crate) workspace_root: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or none for an ordinary one.
    kind: Option<String>,
    /// Where it lies, if it comes from a folder.
    path: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

impl Package {
    /// Reads the package in the request's folder.
    pub(crate) fn read(request: &BuildRequest, toolchain: &Toolchain) -> Result<Self, BuildError> {
        let missing = |reason: String| BuildError::NoPackage {
            folder: request.manifest_dir.clone(),
            reason,
        };
        let manifest = request.manifest_dir.join("Cargo.toml");
        let manifest = manifest
            .canonicalize()
            .map_err(|error| missing(format!("{}: {error}", manifest.display())))?;
        let output = toolchain
            .cargo()
            .args([
                "metadata",
                "--no-deps",
                "--format-version",
                "1",
                "--manifest-path",
            ])
            .arg(&manifest)
            .output()
            .map_err(|source| BuildError::Start {
                program: "cargo".into(),
                source,
            })?;
        if !output.status.success() {
            return Err(missing(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ));
        }
        let Metadata {
            packages,
            workspace_root,
        } = serde_json::from_slice(&output.stdout).map_err(|error| missing(error.to_string()))?;
        let package = packages
            .into_iter()
            .find(|package| package.manifest_path == manifest);
        let package =
            package.ok_or_else(|| missing("its Cargo.toml describes no package".into()))?;
        Ok(Self {
            workspace_root,
            ..package
        })
    }

    /// Whether it names `dependency` among its own dependencies.
    pub(crate) fn depends_on(&self, dependency: &str) -> bool {
        self.ordinary().any(|one| one.name == dependency)
    }

    /// Whether it names a dependency other than `dependency`.
    pub(crate) fn depends_on_others_than(&self, dependency: &str) -> bool {
        self.ordinary().any(|one| one.name != dependency)
    }

    /// The dependencies that are part of the policy, not of its tests.
    fn ordinary(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies.iter().filter(|one| one.kind.is_none())
    }

    /// Names and folders of the dependencies that come from folders outside the
    /// workspace.
    pub(crate) fn folders_outside(&self) -> impl Iterator<Item = (&str, &Path)> {
        let folders = self
            .ordinary()
            .filter_map(|one| Some((one.name.as_str(), one.path.as_deref()?)));
        folders.filter(|(_, folder)| !folder.starts_with(&self.workspace_root))
    }

    /// A policy is a cdylib for the sandbox and an rlib for tests.
    pub(crate) fn check_crate_types(&self) -> Result<(), BuildError> {
        let has = |kinds: &[&str]| {
            self.targets.iter().any(|Target { kind }| {
                kind.iter().any(|one| one == "cdylib")
                    && kind.iter().any(|one| kinds.contains(&one.as_str()))
            })
        };
        if has(&["rlib", "lib"]) {
            return Ok(());
        }
        Err(BuildError::CrateTypes {
            package: self.name.clone(),
        })
    }
}
