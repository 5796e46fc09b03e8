//! Installs a compiler for the target that policies are built for.
//!
//! It searches like `flyball-build`, but does not use that crate, so that xtask compiles
//! quickly.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::command::{apt_install, output, run, step};

const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's compiler, with the sources of the standard library to build it for the
/// target, and a linker for the target.
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

pub fn install_if_missing() -> anyhow::Result<()> {
    if toolchain_has_target() {
        eprintln!("WebAssembly target: in the Rust toolchain");
        return Ok(());
    }
    if debian_has_sources() {
        eprintln!("WebAssembly target: from Debian's Rust");
        return Ok(());
    }
    let added = step(&format!("adding the target {TARGET} with rustup"), || {
        run(Command::new("rustup").args(["target", "add", TARGET]))
    });
    if let Err(error) = added {
        eprintln!("    {error:#}");
        eprintln!("    falling back to Debian's packages");
        apt_install(&PACKAGES).with_context(|| {
            format!("install the Rust target {TARGET}, with `rustup target add {TARGET}`")
        })?;
    }
    Ok(())
}

/// Reports whether the standard library for the target is installed.
fn toolchain_has_target() -> bool {
    let libraries =
        output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]));
    libraries.is_ok_and(|dir| Path::new(&dir).is_dir())
}

/// Reports whether Debian's compiler can build the standard library for the target.
fn debian_has_sources() -> bool {
    let sysroot = output(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]));
    sysroot.is_ok_and(|dir| {
        Path::new(&dir)
            .join("lib/rustlib/src/rust/library")
            .is_dir()
    })
}
