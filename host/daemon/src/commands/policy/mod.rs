//! `flyball policy …`: commands for authors of policies, and for inspecting policies.

mod ask;
mod bench;
mod build;
mod case;
mod configuration;
mod input;
mod inspect;
mod list;
mod new;
mod rollback;
mod run;
mod test;
mod validate;

use super::Exit;
use crate::cli::PolicyCommand;

pub fn run(command: PolicyCommand) -> anyhow::Result<Exit> {
    match command {
        PolicyCommand::New(args) => new::run(&args),
        PolicyCommand::Build(args) => build::run(&args),
        PolicyCommand::Test(args) => test::run(&args),
        PolicyCommand::Inspect(args) => inspect::run(&args),
        PolicyCommand::Validate(args) => validate::run(&args),
        PolicyCommand::Run(args) => run::run(&args),
        PolicyCommand::List(args) => list::run(&args),
        PolicyCommand::Rollback(args) => rollback::run(&args),
        PolicyCommand::Bench(args) => bench::run(&args),
    }
}
