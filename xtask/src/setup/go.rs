//! Finds, or installs, a Go that can build the control plane.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::command::{apt_install, find_program, output, step};

/// Where Go is installed if it is not in PATH.
const FOLDERS: [&str; 2] = ["/usr/local/go/bin", "/usr/lib/go/bin"];
/// From this version on, Go fetches the toolchain that a module requires.
const FETCHES_TOOLCHAINS: (u32, u32) = (1, 21);

/// Returns a `go` command that runs in `module`, with the toolchain that the module
/// requires.
pub struct Go {
    program: PathBuf,
    module: PathBuf,
}

impl Go {
    /// Finds a Go, or installs one.
    pub fn for_module(module: &Path) -> anyhow::Result<Self> {
        let mut program = find_program("go", &FOLDERS);
        if program.is_none() {
            apt_install(&["golang-go"])?;
            program = find_program("go", &FOLDERS);
        }
        let mut program =
            program.context("there is no Go: install 1.21 or newer from https://go.dev/dl")?;
        if version(&program)? < FETCHES_TOOLCHAINS {
            program = fetch_toolchain(&program, module)?;
        }
        Ok(Self {
            program,
            module: module.to_path_buf(),
        })
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.module).env("GOTOOLCHAIN", "auto");
        command
    }
}

/// Returns the version of a Go itself, independent of the module it runs in.
fn version(go: &Path) -> anyhow::Result<(u32, u32)> {
    let text = output(
        Command::new(go)
            .args(["env", "GOVERSION"])
            .env("GOTOOLCHAIN", "local")
            .current_dir("/"),
    )?;
    parse_version(&text).with_context(|| format!("cannot read the version {text:?} of Go"))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("go")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Fetches a toolchain as a module, as newer Gos do.
fn fetch_toolchain(old: &Path, module: &Path) -> anyhow::Result<PathBuf> {
    let version = required_version(module)?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("install Go {version} from https://go.dev/dl: {other} is not known here"),
    };
    let toolchain = format!("golang.org/toolchain@v0.0.1-go{version}.linux-{architecture}");
    step(&format!("fetching Go {version}"), || {
        let text = output(
            Command::new(old)
                .args(["mod", "download", "-json", &toolchain])
                .current_dir("/"),
        )?;
        let answer: Value = serde_json::from_str(&text).context("cannot read go's answer")?;
        let dir = Path::new(answer["Dir"].as_str().context("go names no folder")?);
        // Files of a module are never executable.
        make_files_executable(&dir.join("bin"))?;
        make_files_executable(&dir.join("pkg/tool"))?;
        Ok(dir.join("bin/go"))
    })
}

/// Returns the `go` line of the module's go.mod.
fn required_version(module: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(module.join("go.mod")).context("cannot read go.mod")?;
    let version = text.lines().find_map(|line| line.strip_prefix("go "));
    Ok(version.context("go.mod has no go line")?.trim().to_owned())
}

fn make_files_executable(dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            make_files_executable(&path)?;
        } else {
            fs::set_permissions(&path, Permissions::from_mode(0o555))
                .with_context(|| format!("cannot make {} executable", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{FETCHES_TOOLCHAINS, parse_version};

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse_version("go1.26.8"), Some((1, 26)));
        assert!(parse_version("go1.9") < Some(FETCHES_TOOLCHAINS));
        assert!(parse_version("go1.100.1") > Some(FETCHES_TOOLCHAINS));
        assert_eq!(parse_version("devel"), None);
    }
}
