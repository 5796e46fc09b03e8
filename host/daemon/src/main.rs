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

use clap::Parser as _;

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
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::print_error(&error);
            commands::Exit::Failure.into()
        }
    }
}
