//! `cargo xtask setup`: installs what building and testing need besides a Rust toolchain.

mod browser;
mod cloud;
mod cluster;
pub mod deny;
mod go;
mod wasm;

use clap::ValueEnum;

use crate::command::{apt_install, find_program};

/// Installs what is missing: the WebAssembly target, a Kubernetes control plane,
/// an AWS to test against, a browser, cargo-deny, a C++ compiler
///
/// The other commands do this by themselves. The control plane is built from
/// the Go module in tests/cluster, which takes about 5 minutes the first time;
/// moto, which plays AWS, is installed with pip, cargo-deny with cargo. They are kept
/// in $FLYBALL_CACHE, else $XDG_CACHE_HOME/flyball, else ~/.cache/flyball. What only Debian's
/// packages can provide is installed with apt-get, for which you must be root.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to install
    #[arg(value_enum, default_value = "all")]
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The Rust target that policies are compiled to
    Wasm,
    /// etcd, Kubernetes, kwok and metrics-server, for the tests
    Cluster,
    /// moto and the AWS command line, for the tests
    Cloud,
    /// Chromium and chromedriver, for the tests of reports
    Browser,
    /// cargo-deny, for lint and its tests
    Lint,
    /// A C++ compiler, for libFuzzer
    Fuzz,
    /// All of these
    All,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted = |what| arguments.what == what || arguments.what == What::All;
    if wanted(What::Wasm) {
        wasm()?;
    }
    if wanted(What::Cluster) {
        cluster()?;
    }
    if wanted(What::Cloud) {
        cloud()?;
    }
    if wanted(What::Browser) {
        browser()?;
    }
    if wanted(What::Lint) {
        deny()?;
    }
    if wanted(What::Fuzz) {
        fuzz()?;
    }
    Ok(())
}

/// Ensures that policies can be compiled.
pub fn wasm() -> anyhow::Result<()> {
    wasm::install_if_missing()
}

/// Ensures that a control plane can be started.
pub fn cluster() -> anyhow::Result<()> {
    cluster::install_if_missing()
}

/// Ensures that an AWS for tests can be started.
pub fn cloud() -> anyhow::Result<()> {
    cloud::install_if_missing()
}

/// Ensures that reports can be opened in a browser.
pub fn browser() -> anyhow::Result<()> {
    browser::install_if_missing()
}

/// Ensures that cargo-deny can be run.
pub fn deny() -> anyhow::Result<()> {
    deny::install_if_missing()
}

/// Ensures that libFuzzer can be compiled.
pub fn fuzz() -> anyhow::Result<()> {
    match find_program("c++", &[]) {
        Some(_) => Ok(()),
        None => apt_install(&["g++"]),
    }
}
