//! `cargo xtask fuzz`: runs the fuzz targets for a time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::{run as run_command, step};
use crate::workspace;

/// Runs the fuzz targets: mutations of real inputs of everything that is read from
/// outside
///
/// Targets: autoscalers, components, crowds, dumps, metrics, quantities, records,
/// scenarios, schemas, selectors. Each reads inputs by the functions that the daemon and
/// the commands use. It fails if one panics, takes more than 64 MiB and 256 times its own
/// size of memory, or ends in a message beyond the limits on messages. The inputs of
/// crowds are clusters whose objects select each other; these may take 64 times their size.
///
/// A case follows from the seed and its number. A failure prints the command that
/// repeats it. If the process is ended, the seed and the number of its last case are in
/// target/tmp/fuzz-TARGET. Add the input of a fault to tests/fuzz/corpus, with the test
/// that shows the fault.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The target. All targets, one after another, if none is named
    target: Option<String>,
    /// How long each target runs
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// Which cases are made; another one each time if it is not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Runs only this case of the seed, and writes its input to
    /// target/tmp/fuzz-TARGET.input
    #[arg(long, value_name = "N", requires = "seed", requires = "target")]
    case: Option<u64>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = arguments.seed.unwrap_or(now.as_secs());
    let mut cargo = workspace::cargo();
    cargo
        .args(["test", "--workspace", "--test", "fuzz", "--"])
        .args(["--nocapture", "--test-threads", "1"])
        .env("FLYBALL_FUZZ_SECONDS", arguments.seconds.to_string())
        .env("FLYBALL_FUZZ_SEED", seed.to_string());
    if let Some(target) = &arguments.target {
        cargo.args(["--exact", target]);
    }
    if let Some(case) = arguments.case {
        cargo.env("FLYBALL_FUZZ_CASE", case.to_string());
    }
    step(&format!("fuzzing with seed {seed}"), || {
        run_command(&mut cargo)
    })
}
