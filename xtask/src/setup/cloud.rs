//! Installs moto and the AWS command line into a Python environment in the cache,
//! where the tests find them (`flyball_test_support::binaries::cloud`).

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use flyball_test_support::binaries::cloud::{environment, marker, requirements};

use crate::command::{apt_install, run, step};

pub fn install_if_missing() -> anyhow::Result<()> {
    let dir = environment()?;
    let root = dir.parent().context("the cache has no folder")?;
    fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
    // Another process may be installing it: wait for that.
    let lock = dir.with_extension("lock");
    let _lock = File::create(&lock)
        .and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("cannot lock {}", lock.display()))?;
    if marker(&dir).is_file() {
        eprintln!("AWS for tests: in {}", dir.display());
        return Ok(());
    }
    step(&format!("installing moto into {}", dir.display()), || {
        create(&dir)?;
        run(Command::new(dir.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(requirements()))?;
        File::create(marker(&dir)).context("cannot mark the environment as complete")?;
        Ok(())
    })
}

/// Creates the environment, and replaces an incomplete one. Debian's Python needs a
/// further package for this, which is installed then.
fn create(dir: &Path) -> anyhow::Result<()> {
    let create = || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(dir))
    };
    create().or_else(|error| {
        eprintln!("    {error:#}");
        eprintln!("    falling back to Debian's packages");
        apt_install(&["python3-venv"])
            .context("install Python 3 with venv, such as Debian's python3-venv")?;
        create()
    })
}
