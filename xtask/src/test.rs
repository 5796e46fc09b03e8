//! `cargo xtask test`: runs all tests, after installing what they need.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::command::Elapsed;
use crate::{setup, workspace};

/// The variable by which a test program gets its number of threads.
const THREADS: &str = "RUST_TEST_THREADS";

/// Runs all tests, on a real Kubernetes control plane where they need one
///
/// Installs what is missing first (see `cargo xtask setup`), then runs
/// `cargo test --workspace --no-fail-fast` and sums up. Runs two tests for each processor at a
/// time unless `RUST_TEST_THREADS` is set, since many wait for a control plane.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Arguments passed on to `cargo test`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo: Vec<String>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    setup::wasm()?;
    setup::cluster()?;
    setup::cloud()?;
    setup::browser()?;
    setup::deny()?;
    let start = Instant::now();
    let mut cargo = workspace::cargo();
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(&arguments.cargo)
        .stdout(Stdio::piped());
    if std::env::var_os(THREADS).is_none() {
        let processors = std::thread::available_parallelism()?.get();
        cargo.env(THREADS, (2 * processors).to_string());
    }
    let mut child = cargo.spawn().context("cannot run cargo test")?;
    let stdout = child.stdout.take().context("no pipe to cargo test")?;
    let mut totals = Totals::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read from cargo test")?;
        totals.add(&String::from_utf8_lossy(&line));
        let mut out = std::io::stdout().lock();
        out.write_all(&line)
            .and_then(|()| out.write_all(b"\n"))
            .context("cannot write to standard output")?;
    }
    let status = child.wait().context("cannot run cargo test")?;
    println!("tests: {totals} in {}", Elapsed(start.elapsed()));
    ensure!(status.success() && totals.failed == 0, "the tests failed");
    Ok(())
}

/// Sums of the test programs' result lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    programs: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Totals {
    /// Adds a line such as `test result: ok. 5 passed; 0 failed; 1 ignored; …`; ignores
    /// other lines.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        self.programs += 1;
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} ignored in {} test programs",
            self.passed, self.failed, self.ignored, self.programs
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn the_last_lines_of_all_programs_are_summed() {
        let mut totals = Totals::default();
        for line in [
            "test a ... ok",
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.00s",
        ] {
            totals.add(line);
        }
        let expected = "6 passed, 2 failed, 1 ignored in 2 test programs";
        assert_eq!(totals.to_string(), expected);
    }
}
