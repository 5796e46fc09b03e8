//! The `flyball` binary: arguments, wiring, HTTP and output around the crates
//! that do the work. Nothing is decided here.

mod cli;
mod clock;
mod commands;
mod http;
mod logging;
mod node_records;
mod output;
mod policies;
mod recorders;
mod records;
mod scaffold;
mod simulated;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::print_error(&error);
            commands::Exit::Failure.into()
        }
    }
}
