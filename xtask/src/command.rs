//! Runs other programs, and reports it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fmt};

use anyhow::{Context as _, ensure};

/// Prints a step, performs it, and prints how long it took.
pub fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    eprintln!("==> {what}");
    let start = Instant::now();
    let result = work().with_context(|| format!("failed: {what}"))?;
    eprintln!("    done in {}", Elapsed(start.elapsed()));
    Ok(result)
}

/// Runs a command to its end with our standard output and error.
///
/// # Errors
/// If it cannot be started or fails; the message shows the command line.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", Line(command)))?;
    ensure!(status.success(), "{} failed: {status}", Line(command));
    Ok(())
}

/// Runs a command to its end and returns its output, without surrounding white space.
///
/// # Errors
/// If it cannot be started or fails; the message contains its standard error.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", Line(command)))?;
    ensure!(
        output.status.success(),
        "{} failed: {}",
        Line(command),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let text = String::from_utf8(output.stdout)
        .with_context(|| format!("{} printed something else than UTF-8", Line(command)))?;
    Ok(text.trim().to_owned())
}

/// Returns the first file of this name in PATH or in one of the further folders.
pub fn find_program(name: &str, further: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(further.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Installs Debian packages.
///
/// # Errors
/// If apt-get is missing or fails, which it does without root.
pub fn apt_install(packages: &[&str]) -> anyhow::Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        run(command.arg("--quiet").args(arguments))
    };
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    step(&format!("installing {}", packages.join(", ")), || {
        apt(&["update"])?;
        apt(&install)
    })
}

/// Formats a command as it would be typed.
struct Line<'a>(&'a Command);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = Path::new(self.0.get_program());
        let name = program.file_name().unwrap_or(program.as_os_str());
        write!(f, "`{}", name.display())?;
        for argument in self.0.get_args().map(OsStr::display) {
            write!(f, " {argument}")?;
        }
        f.write_str("`")
    }
}

/// Formats a duration.
pub struct Elapsed(pub Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        } else {
            write!(f, "{} min {} s", seconds / 60, seconds % 60)
        }
    }
}
