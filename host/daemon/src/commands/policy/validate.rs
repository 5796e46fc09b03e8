//! `flyball policy validate`.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use flyball_core::policy::ReplicaPolicy as _;
use flyball_sandbox::CompiledPolicy;
use serde_json::{Map, Value};

use super::Exit;
use crate::cli::ValidateArgs;
use crate::output::{self, BAD, GOOD, styled};
use crate::{policies, wiring};

pub fn run(args: &ValidateArgs) -> anyhow::Result<Exit> {
    let engine = wiring::engine()?;
    let source = policies::find(&args.policy)?;
    let configuration = args.config.as_deref().map(read_configuration).transpose()?;
    let mut out = output::out();
    match check(&engine, &source, configuration.as_ref()) {
        Ok(policy) => {
            let version = policy.version();
            let (name, digest) = (&version.name, version.short_digest());
            writeln!(
                out,
                "{}  {name}@{digest} would be taken",
                styled(GOOD, "valid")
            )?;
            Ok(Exit::Success)
        }
        Err(error) => {
            writeln!(
                out,
                "{}  {}: {error:#}",
                styled(BAD, "not valid"),
                args.policy
            )?;
            Ok(Exit::Different)
        }
    }
}

fn check(
    engine: &flyball_sandbox::Engine,
    source: &policies::Source,
    configuration: Option<&Map<String, Value>>,
) -> anyhow::Result<CompiledPolicy> {
    let policy = policies::compile(engine, &source.name, &source.component)?;
    if let Some(configuration) = configuration {
        policy
            .check_configuration(configuration)
            .context("the configuration does not fit")?;
    }
    Ok(policy)
}

/// Reads a configuration: JSON itself, or a file of it.
fn read_configuration(text: &str) -> anyhow::Result<Map<String, Value>> {
    let json = if text.trim_start().starts_with('{') {
        text.to_owned()
    } else {
        std::fs::read_to_string(Path::new(text))
            .with_context(|| format!("--config: {text:?} is neither a JSON object nor a file"))?
    };
    serde_json::from_str(&json).context("--config: not a JSON object")
}
