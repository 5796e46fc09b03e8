//! The Python environment of the tests' cloud: moto, which plays AWS, and the
//! AWS command line, as `tests/cloud/requirements.txt` pins them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::keyed_dir;

/// What is to be installed.
#[must_use]
pub fn requirements() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cloud/requirements.txt")
}

/// The folder of the environment that fits the requirements' present content,
/// whether it exists or not.
///
/// # Errors
/// When the requirements cannot be read, or there is no place for a cache.
pub fn environment() -> anyhow::Result<PathBuf> {
    let path = requirements();
    let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    keyed_dir("cloud", &[content])
}

/// A file that stands in the environment once it is complete. Its scripts name its
/// own path, so it can't be made elsewhere and renamed.
#[must_use]
pub fn marker(environment: &Path) -> PathBuf {
    environment.join("complete")
}

/// The folder of `moto_server` and `aws`.
///
/// # Errors
/// When they have not been installed yet; the message says how.
pub fn find() -> anyhow::Result<PathBuf> {
    let environment = environment()?;
    ensure!(
        marker(&environment).is_file(),
        "moto is missing (looked in {}): run `cargo xtask setup cloud`",
        environment.display()
    );
    Ok(environment.join("bin"))
}
