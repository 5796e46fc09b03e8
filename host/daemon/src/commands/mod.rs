//! The commands, one module each, which use the crates that do the work.

pub mod completions;
mod crd;
mod demo;
mod plan;
mod policy;
mod replay;
mod run;
mod simulate;
mod why;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::{logging, output};

/// Exit code of a command. Documented in `flyball --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded.
    Success = 0,
    /// The command failed.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The command succeeded and found something to report: differences, or a failing
    /// policy.
    Different = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs a command.
pub fn run(cli: Cli) -> anyhow::Result<Exit> {
    let usual_level = if matches!(cli.command, Command::Run(_)) {
        "info"
    } else {
        "warn"
    };
    logging::init(&cli.log, usual_level);
    let result = match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Policy(command) => policy::run(command),
        Command::Demo(args) => demo::run(&args),
        Command::Crd => crd::run(),
        Command::Completions { shell } => completions::run(shell),
    };
    match result {
        Err(error) if output::is_broken_pipe(&error) => Ok(Exit::Success),
        result => result,
    }
}
