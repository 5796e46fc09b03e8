//! `flyball policy rollback`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use flyball_sandbox::{HandRollback, roll_back_by_hand};
use serde_json::json;

use super::Exit;
use crate::cli::{Format, RollbackArgs};
use crate::output;
use crate::wiring::StateDir;

pub fn run(args: &RollbackArgs) -> anyhow::Result<Exit> {
    let directory = last_good(args)?;
    let done = roll_back_by_hand(&directory, &args.name, flyball_policies::BUILTIN)?;
    match args.output.format {
        Format::Json => output::print_json(&json!({
            "name": args.name,
            "refused": done.refused,
            "restored": done.restored,
        }))?,
        Format::Text => print(&args.name, &done)?,
    }
    Ok(Exit::Success)
}

fn print(name: &str, done: &HandRollback) -> anyhow::Result<()> {
    let restored = if done.is_built_in {
        "the built-in version"
    } else {
        "version"
    };
    writeln!(
        output::out(),
        "policy {name}: version {} is refused until its file changes, {restored} {} comes back",
        short(&done.refused),
        short(&done.restored)
    )?;
    Ok(())
}

/// Shortens a digest as tables do.
fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.get(..12).unwrap_or(hex)
}

/// Returns the private directory with the policy's last good versions: that of the given
/// policies directory, or of the only one that has the policy.
fn last_good(args: &RollbackArgs) -> anyhow::Result<PathBuf> {
    let state = StateDir::resolve(args.state.state_dir.as_deref())
        .context("no private directory of a daemon is known: name it with --state-dir")?;
    if let Some(policies) = &args.policies_dir {
        return state.last_good(policies);
    }
    let mut directories = state.last_good_of(&args.name);
    match (directories.pop(), directories.len()) {
        (Some(directory), 0) => Ok(directory),
        (Some(_), _) => bail!(
            "daemons with several policies directories have a policy {}: name one with --policies-dir",
            args.name
        ),
        (None, _) => bail!(
            "no daemon whose private directory is {} has a file for policy {}: name the directory with --state-dir",
            state.path().display(),
            args.name
        ),
    }
}
