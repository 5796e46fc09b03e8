//! The project's chores: `cargo xtask COMMAND`.
//!
//! Each command is a module. They install what they need, report what they do, and are
//! quick the second time. Nothing here is part of the product.

mod bench;
mod campaign;
mod cluster;
mod command;
mod demo;
mod fuzz;
mod image;
mod lint;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores. Each installs what it needs and is quick the second
/// time.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    Demo(demo::Arguments),
    Test(test::Arguments),
    Bench(bench::Arguments),
    Campaign(campaign::Arguments),
    Fuzz(fuzz::Arguments),
    Image(image::Arguments),
    Lint(lint::Arguments),
    Setup(setup::Arguments),
    Cluster(cluster::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Demo(arguments) => demo::run(&arguments),
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Campaign(arguments) => campaign::run(&arguments),
        Chore::Fuzz(arguments) => fuzz::run(&arguments),
        Chore::Image(arguments) => image::run(&arguments),
        Chore::Lint(arguments) => lint::run(&arguments),
        Chore::Setup(arguments) => setup::run(&arguments),
        Chore::Cluster(arguments) => cluster::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
