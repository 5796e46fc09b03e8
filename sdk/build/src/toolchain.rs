//! Which cargo and which compiler: those in use if they have the target, else
//! Debian's, which builds the standard library first.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::BuildError;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Variables whose names start with `CARGO_` that say how to reach registries,
/// not what to build.
const KEPT: [&str; 5] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
];

/// Variables that an outer cargo sets for build scripts or that change how a
/// crate is compiled: the result must not depend on them. Clippy comes as
/// `RUSTC_WORKSPACE_WRAPPER`.
const DROPPED: [&str; 8] = [
    "MAKEFLAGS",
    "RUSTC_BOOTSTRAP",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "TARGET",
    "HOST",
];

/// A way to compile to WebAssembly.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    cargo: OsString,
    rustc: OsString,
    /// The linker with which to build the standard library as well.
    build_std: Option<PathBuf>,
}

impl Toolchain {
    /// The first toolchain that can compile to WebAssembly.
    pub(crate) fn find() -> Result<Self, BuildError> {
        let in_use = Self {
            cargo: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            rustc: env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()),
            build_std: None,
        };
        if in_use.has_target() {
            return Ok(in_use);
        }
        let linker = in_use
            .sysroot()
            .into_iter()
            .find_map(|root| rust_lld(&root));
        let linker = linker.or_else(debian_linker);
        let debian = Self {
            cargo: "/usr/bin/cargo".into(),
            rustc: "/usr/bin/rustc".into(),
            build_std: linker,
        };
        if debian.build_std.is_some() && debian.has_std_source() {
            return Ok(debian);
        }
        Err(BuildError::NoTarget)
    }

    /// A cargo command in an environment without the outer cargo's settings.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            let cargo =
                name.starts_with("CARGO") && !KEPT.iter().any(|kept| name.starts_with(kept));
            if cargo || DROPPED.contains(&&*name) {
                command.env_remove(&*name);
            }
        }
        command.env("RUSTC", &self.rustc);
        command
    }

    /// Adds what this toolchain needs to compile to WebAssembly.
    pub(crate) fn for_target(&self, command: &mut Command) {
        command.args(["--target", TARGET]);
        if let Some(linker) = &self.build_std {
            command
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
    }

    /// Where the compiler keeps its libraries.
    pub(crate) fn sysroot(&self) -> Option<PathBuf> {
        self.print(&["--print", "sysroot"])
    }

    fn has_target(&self) -> bool {
        self.print(&["--print", "target-libdir", "--target", TARGET])
            .is_some_and(|libraries| libraries.is_dir())
    }

    fn has_std_source(&self) -> bool {
        self.sysroot()
            .is_some_and(|root| root.join("lib/rustlib/src/rust/library").is_dir())
    }

    fn print(&self, arguments: &[&str]) -> Option<PathBuf> {
        let output = Command::new(&self.rustc).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| PathBuf::from(text.trim()))
    }
}

/// The linker that rustup installs with a toolchain.
fn rust_lld(sysroot: &Path) -> Option<PathBuf> {
    let hosts = std::fs::read_dir(sysroot.join("lib/rustlib")).ok()?;
    hosts
        .filter_map(|host| Some(host.ok()?.path().join("bin/rust-lld")))
        .find(|linker| linker.is_file())
}

/// Debian's linker: `wasm-ld`, or the newest `wasm-ld-N`.
fn debian_linker() -> Option<PathBuf> {
    let entries = std::fs::read_dir("/usr/bin").ok()?;
    let versions = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let version = name.strip_prefix("wasm-ld")?;
        let number = version
            .strip_prefix('-')
            .map_or(Some(u32::MAX), |n| n.parse().ok())?;
        Some((number, name))
    });
    versions
        .max()
        .map(|(_, name)| Path::new("/usr/bin").join(name))
}
