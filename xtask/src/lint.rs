//! `cargo xtask lint`: all automatic checks of the sources.

mod arrows;
mod circles;
mod deny;
mod features;
mod generated;
mod named;
mod untested;
mod unused;

use anyhow::bail;

use crate::command::{run as run_command, step};
use crate::{setup, workspace};

/// Folders of Cargo projects outside the workspace: each has a `Cargo.toml`, or
/// subfolders that have one.
const GUESTS: [&str; 1] = ["tests/guests"];

/// Checks format, clippy, docs, generated files, the arrows between crates, circles
/// between their modules, and dependencies: licences, sources, bans, duplicates, those
/// that nothing uses, and those that tests compile a second time
///
/// All checks run, also when one fails.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Formats the sources and writes the generated files instead of checking
    /// them
    #[arg(long)]
    fix: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    setup::wasm()?;
    setup::fuzz()?;
    let fix = arguments.fix;
    let checks: [(&str, &dyn Fn() -> anyhow::Result<()>); 11] = [
        ("format", &|| format(fix)),
        ("clippy", &clippy),
        ("docs", &docs),
        ("generated files", &|| generated::check(fix)),
        ("arrows between crates", &arrows::check),
        ("circles between modules", &circles::check),
        ("names in the documents", &named::check),
        ("licences, sources, bans", &deny::check),
        ("unused dependencies", &unused::check),
        ("features in tests", &features::check),
        ("tests that never run", &untested::check),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(error) = step(name, check) {
            eprintln!("    {error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("lint: {}", failed.join(", "));
    }
    println!("lint: all checks passed");
    Ok(())
}

fn format(fix: bool) -> anyhow::Result<()> {
    let mode: &[&str] = if fix { &[] } else { &["--check"] };
    let mut results = vec![run_command(
        workspace::cargo().args(["fmt", "--all"]).args(mode),
    )];
    for manifest in workspace::manifests_below(&GUESTS)? {
        let mut command = workspace::cargo();
        command.args(["fmt", "--all", "--manifest-path"]);
        results.push(run_command(command.arg(manifest).args(mode)));
    }
    results.into_iter().collect()
}

fn clippy() -> anyhow::Result<()> {
    run_command(
        workspace::cargo()
            .args(["clippy", "--workspace", "--all-targets"])
            .args(["--features", "flyball-fuzz/libfuzzer"])
            .args(["--", "-D", "warnings"]),
    )
}

fn docs() -> anyhow::Result<()> {
    run_command(
        workspace::cargo()
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}
