//! The Python environment of the tests' cloud: moto, which simulates AWS, and the AWS
//! command line, with the versions in `tests/cloud/requirements.txt`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::keyed_dir;

/// Requirements file of the environment.
#[must_use]
pub fn requirements() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cloud/requirements.txt")
}

/// Returns the folder of the environment for the requirements' current content, whether
/// it exists or not.
///
/// # Errors
/// If the requirements cannot be read, or there is no cache directory.
pub fn environment() -> anyhow::Result<PathBuf> {
    let path = requirements();
    let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    keyed_dir("cloud", &[content])
}

/// File in the environment that marks it as complete. Its scripts contain its own path,
/// so it can't be created elsewhere and renamed.
#[must_use]
pub fn marker(environment: &Path) -> PathBuf {
    environment.join("complete")
}

/// Returns the folder of `moto_server` and `aws`.
///
/// # Errors
/// If they have not been installed yet; the message names the command.
pub fn find() -> anyhow::Result<PathBuf> {
    let environment = environment()?;
    ensure!(
        marker(&environment).is_file(),
        "moto is missing (looked in {}): run `cargo xtask setup cloud`",
        environment.display()
    );
    Ok(environment.join("bin"))
}
