//! The `flyball` binary: arguments, wiring, HTTP and output around the crates that do the
//! work. It makes no decision itself.

mod cli;
mod clock;
mod commands;
mod http;
mod logging;
mod output;
mod policies;
mod record_file;
mod recorders;
mod records;
mod rings;
mod scaffold;
mod simulated;
mod wiring;

use std::process::ExitCode;

use clap::builder::Styles;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::cli::Cli;
use crate::commands::Exit;

/// Watches allocate and free many small objects, which makes a pass take twice as long
/// with the platform's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First, since a child that compiles a policy needs nothing else.
    if let Some(exit) = flyball_sandbox::compile_if_asked() {
        return exit;
    }
    // Before anything is printed.
    commands::completions::complete_if_asked();
    flyball_tasks::end_on_panic();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return print_usage(&error).into(),
    };
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::print_error(&error);
            Exit::Failure.into()
        }
    }
}

/// Prints help, the version, or what is wrong with the command line.
fn print_usage(error: &clap::Error) -> Exit {
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayVersion
    );
    if is_help {
        // It quotes no argument. There is nowhere to report that it can't be written.
        let _ = error.print();
    } else {
        // Without styles: what is escaped must not be ours.
        let command = Cli::command().styles(Styles::plain());
        let plain = command.try_get_matches().err();
        output::print_usage_error(plain.as_ref().unwrap_or(error));
    }
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Success
    }
}
