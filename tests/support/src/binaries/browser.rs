//! The browser of the tests, and chromedriver, which drives it. Both come from the
//! system's packages, since a browser needs libraries of the system.

use std::env;
use std::path::PathBuf;

use anyhow::Context as _;

/// Names of the browser, by package.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const DRIVER: &str = "chromedriver";

/// A browser and its driver.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Path of the browser.
    pub program: PathBuf,
    /// Path of chromedriver.
    pub driver: PathBuf,
}

impl Browser {
    /// Finds both in PATH.
    ///
    /// # Errors
    /// If one is missing; the message names the command that installs it.
    pub fn find() -> anyhow::Result<Self> {
        let in_path = |name: &str| {
            let path = env::var_os("PATH").unwrap_or_default();
            let mut files = env::split_paths(&path).map(|folder| folder.join(name));
            files.find(|file| file.is_file())
        };
        let missing = |name| format!("{name} is missing: run `cargo xtask setup browser`");
        let mut programs = BROWSERS.into_iter().filter_map(in_path);
        Ok(Self {
            program: programs.next().with_context(|| missing(BROWSERS[0]))?,
            driver: in_path(DRIVER).with_context(|| missing(DRIVER))?,
        })
    }
}
