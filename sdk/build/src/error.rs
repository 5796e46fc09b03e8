//! What can go wrong in a build.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a policy could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no package to build.
    #[error("{}: no policy to build: {reason}", folder.display())]
    NoPackage {
        /// Where it was looked for.
        folder: PathBuf,
        /// What cargo says.
        reason: String,
    },
    /// The manifest lacks a crate type.
    #[error(
        "package {package}: a policy is a cdylib (for the sandbox) and an rlib (for tests): \
         add `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]` in its Cargo.toml"
    )]
    CrateTypes {
        /// The package.
        package: String,
    },
    /// No toolchain can compile to WebAssembly.
    #[error(
        "no Rust toolchain for wasm32-unknown-unknown: run `rustup target add \
         wasm32-unknown-unknown`, or install Debian's rustc-web, cargo-web and rust-web-src \
         with lld"
    )]
    NoTarget,
    /// Cargo or the compiler could not be started.
    #[error("cannot run {program}: {source}")]
    Start {
        /// What was to be run.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// Cargo failed.
    #[error("package {package}: cargo failed:\n{output}")]
    Cargo {
        /// The package.
        package: String,
        /// What cargo wrote to standard error.
        output: String,
    },
    /// Cargo succeeded but made no module.
    #[error("package {package}: cargo made no module")]
    NoModule {
        /// The package.
        package: String,
    },
    /// The module is no policy.
    #[error("package {package}: not a policy: {reason}")]
    Component {
        /// The package or the example.
        package: String,
        /// What is wrong with the module.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl BuildError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
