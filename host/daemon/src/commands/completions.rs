//! `flyball completions`: scripts that call the binary for each completion, and its
//! answers to them.

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::env::{CompleteEnv, Shells};

use super::Exit;
use crate::cli::Cli;
use crate::output;

/// Environment variable with the shell that asks for a completion.
const VARIABLE: &str = "FLYBALL_COMPLETE";

/// Completes a command line and ends the process, if a shell asks for it.
pub fn complete_if_asked() {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .complete();
}

/// Prints the script that makes a shell ask.
pub fn run(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    let shell = shell.to_string();
    let shells = Shells::builtins();
    let shell = shells
        .completer(&shell)
        .with_context(|| format!("there is no script for {shell}"))?;
    let name = "flyball";
    shell.write_registration(VARIABLE, name, name, name, &mut output::out())?;
    Ok(Exit::Success)
}
