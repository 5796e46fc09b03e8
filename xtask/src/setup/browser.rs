//! Installs Chromium and chromedriver, in which the tests open reports.

use anyhow::Context as _;
use flyball_test_support::binaries::browser::Browser;

use crate::command::apt_install;

/// Debian's packages, and a font, which the browser only recommends.
const PACKAGES: [&str; 3] = ["chromium", "chromium-driver", "fonts-dejavu-core"];

pub fn install_if_missing() -> anyhow::Result<()> {
    let found = Browser::find().or_else(|error| {
        eprintln!("    {error:#}");
        apt_install(&PACKAGES).context(
            "install Chromium and chromedriver of one version into PATH, such as Debian's \
             chromium and chromium-driver",
        )?;
        Browser::find()
    })?;
    eprintln!("Browser for tests: {}", found.program.display());
    Ok(())
}
