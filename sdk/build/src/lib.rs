//! From a policy's source to a component: finds the package, compiles it to
//! WebAssembly with cargo, and wraps the module as a component. Used by `flyball
//! policy build`, by the build script of the built-in policies, and by tests.
//!
//! Builds reproduce: paths of the machine do not enter the module, and the
//! profile does not come from the author's manifest. That takes path dependencies
//! within the workspace: symbols of others are named by where these lie. Nothing is
//! fetched but what cargo fetches, and nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};

use wit_component::ComponentEncoder;

mod cargo;
mod error;
mod package;
mod schema;
mod toolchain;

pub use error::BuildError;

use cargo::Artifact;
use package::Package;
use toolchain::Toolchain;

/// What to build, and where.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// Folder of the package's `Cargo.toml`.
    pub manifest_dir: PathBuf,
    /// Where the component ends up. Within a build script it must not be the target
    /// directory that the outer cargo has locked.
    pub target_dir: PathBuf,
    /// Where cargo compiles. Policies that share it compile their common dependencies once.
    pub build_dir: PathBuf,
}

impl BuildRequest {
    /// Builds the package in `manifest_dir`, and compiles in its target directory.
    #[must_use]
    pub fn new(manifest_dir: impl Into<PathBuf>, target_dir: impl Into<PathBuf>) -> Self {
        let target_dir = target_dir.into();
        Self {
            manifest_dir: manifest_dir.into(),
            build_dir: target_dir.clone(),
            target_dir,
        }
    }
}

/// A policy, built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The package's name.
    pub name: String,
    /// The component's file: `NAME.wasm` in the target directory.
    pub path: PathBuf,
    /// The component.
    pub component: Vec<u8>,
}

/// An example of a package, built.
#[derive(Debug)]
pub struct Example {
    /// The example's name.
    pub name: String,
    /// The core module as cargo made it.
    pub module: Vec<u8>,
}

impl Example {
    /// The module as a component.
    ///
    /// # Errors
    /// If the module is not one that a component can be made of.
    pub fn component(&self) -> Result<Vec<u8>, BuildError> {
        component(&self.name, &self.module)
    }
}

/// Builds a policy to a component.
///
/// # Errors
/// If there is no such package, no toolchain for the target, if cargo fails, or
/// if the module does not keep to a world of the contract.
pub fn build(request: &BuildRequest) -> Result<Built, BuildError> {
    let toolchain = Toolchain::find()?;
    let package = Package::read(request, &toolchain)?;
    package.check_crate_types()?;
    let schema = schema::of(&package, request, &toolchain)?;
    let schema = schema.as_deref();
    let artifacts = cargo::build(&package, request, &toolchain, &["--lib"], schema)?;
    let artifact = artifacts
        .into_iter()
        .find(|artifact| artifact.is_cdylib_of(&package));
    let Artifact { file, .. } = artifact.ok_or_else(|| BuildError::NoModule {
        package: package.name.clone(),
    })?;
    let component = component(&package.name, &read(&file)?)?;
    let path = request.target_dir.join(format!("{}.wasm", package.name));
    write(&path, &component)?;
    Ok(Built {
        name: package.name,
        path,
        component,
    })
}

/// Examples serve tests: they may be large if only they are linked quickly.
const EXAMPLES: [&str; 3] = ["--examples", "--config", "profile.release.lto=false"];

/// Builds every example of a package that is a `cdylib` to a core module, sorted
/// by name.
///
/// # Errors
/// As [`build`]; one example that does not compile fails them all.
pub fn build_examples(request: &BuildRequest) -> Result<Vec<Example>, BuildError> {
    let toolchain = Toolchain::find()?;
    let package = Package::read(request, &toolchain)?;
    let artifacts = cargo::build(&package, request, &toolchain, &EXAMPLES, None)?;
    let mut examples = artifacts
        .into_iter()
        .filter(|artifact| artifact.is_example_of(&package))
        .map(|Artifact { name, file, .. }| {
            Ok(Example {
                name,
                module: read(&file)?,
            })
        })
        .collect::<Result<Vec<_>, BuildError>>()?;
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(examples)
}

/// Makes a component of a core module that carries its world.
///
/// # Errors
/// If it carries none, or does not keep to it.
pub fn component(name: &str, module: &[u8]) -> Result<Vec<u8>, BuildError> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| BuildError::Component {
            package: name.to_owned(),
            reason: format!("{error:#}"),
        })
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|source| BuildError::io(path, source))
}

fn write(path: &Path, content: &[u8]) -> Result<(), BuildError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| BuildError::io(folder, source))?;
    }
    fs::write(path, content).map_err(|source| BuildError::io(path, source))
}
