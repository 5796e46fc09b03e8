//! `cargo xtask campaign`: what takes too long for every change.

use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;

use crate::command::{run as run_command, step};
use crate::{fuzz, setup, workspace};

/// Runs what takes too long for every change, and writes its results to docs/campaigns
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    campaign: Campaign,
}

#[derive(Debug, Subcommand)]
enum Campaign {
    Crash(Crash),
    Fuzz(Fuzz),
    Idle(Idle),
}

/// Kills the daemon at each of its writes, and checks what its successor does
///
/// Each row of the table is a write after which the daemon is killed (`kill -9`).
/// It is then restarted at once, or ten minutes later (by an offset of its clock),
/// or another leader takes over whose clock is two seconds behind. Takes half an
/// hour. `cargo xtask test` runs one cell of each row.
#[derive(Debug, clap::Args)]
struct Crash {
    /// Runs only the rows whose names contain this text; others keep their results
    #[arg(long, value_name = "TEXT")]
    row: Option<String>,
}

/// Runs each fuzz target for an hour of processor time
///
/// Keeps what the targets find in the corpus in the repository. Targets take turns of ten
/// minutes. If the campaign is ended, the next run goes on with what is left of the hours.
#[derive(Debug, clap::Args)]
struct Fuzz {
    /// The targets. All targets if none is named
    targets: Vec<String>,
    /// Processor time of each target, with that of earlier runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    minutes: u64,
}

/// Counts the writes of a daemon in a cluster where nothing happens
///
/// The target is 13 in an hour. The daemon runs alone, so that it has no lease to renew.
#[derive(Debug, clap::Args)]
struct Idle {
    /// For how many minutes
    #[arg(long, value_name = "N", default_value_t = 60)]
    minutes: u32,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let results = workspace::root().canonicalize()?.join("docs/campaigns");
    std::fs::create_dir_all(&results)
        .with_context(|| format!("cannot create {}", results.display()))?;
    match &arguments.campaign {
        Campaign::Crash(crash) => {
            let file = results.join("crash.md");
            let row = crash.row.as_deref().unwrap_or_default();
            let variables = [("FLYBALL_CRASH_ROWS", row)];
            test("crash_points", ("FLYBALL_CRASH_RESULTS", &file), &variables)
        }
        Campaign::Fuzz(campaign) => {
            let page = results.join("fuzz.md");
            fuzz::campaign::run(&campaign.targets, campaign.minutes, &page)
        }
        Campaign::Idle(idle) => {
            let file = results.join("idle.md");
            let minutes = idle.minutes.to_string();
            let variables = [("FLYBALL_IDLE_MINUTES", &*minutes)];
            test("idle", ("FLYBALL_IDLE_RESULTS", &file), &variables)
        }
    }
}

/// Runs tests of the program `e2e`, which write to a file.
fn test(
    name: &str,
    (results, file): (&str, &Path),
    variables: &[(&str, &str)],
) -> anyhow::Result<()> {
    setup::wasm()?;
    setup::cluster()?;
    setup::cloud()?;
    step(&format!("running the campaign {name}"), || {
        run_command(
            workspace::cargo()
                .args(["test", "--workspace", "--test", "e2e", &format!("{name}::")])
                .args(["--", "--nocapture"])
                .env(results, file)
                .envs(variables.iter().copied()),
        )
    })
}
