//! `flyball policy inspect`.

use std::io::Write as _;

use flyball_decision::policy::{Policy as _, WantedInput};
use flyball_sandbox::DEFAULT_BUDGET;
use serde_json::{Value, json};

use super::Exit;
use crate::cli::{Format, InspectArgs};
use crate::output::{self, STRONG, plain};
use crate::{policies, wiring};

pub fn run(args: &InspectArgs) -> anyhow::Result<Exit> {
    let engine = wiring::engine(None, &args.compilation)?;
    let source = policies::find(&args.policy)?;
    let policy = policies::compile(&engine, &source, DEFAULT_BUDGET)?;
    let (version, description, budget) = (policy.version(), policy.description(), policy.budget());
    let schema: Value =
        serde_json::from_str(&description.configuration_schema).unwrap_or(Value::Null);
    if args.output.format == Format::Json {
        output::print_json(&json!({
            "bytes": source.component.len(),
            "budget": budget,
            "description": description,
            "version": &**version,
        }))?;
        return Ok(Exit::Success);
    }
    let mut out = output::out();
    let mut line = |name: &str, value: &str| {
        let value = plain(value);
        writeln!(out, "{STRONG}{name:<14}{STRONG:#}{value}")
    };
    line("Name", &description.name)?;
    line("Version", &description.version)?;
    line("Summary", &description.summary)?;
    line("Kinds", &description.kinds.join(", "))?;
    line("Contract", &format!("flyball:policy@{}", version.contract))?;
    line("Digest", &version.digest)?;
    line(
        "Size",
        &output::bytes(u64::try_from(source.component.len()).unwrap_or(u64::MAX)),
    )?;
    line("State", &format!("version {}", version.state_version))?;
    line("Wants", &wants(&description.wants))?;
    line(
        "Budget",
        &format!(
            "fuel {} + {} a row, {} of memory",
            output::count(budget.fuel_base),
            output::count(budget.fuel_per_row),
            output::bytes(budget.memory_bytes)
        ),
    )?;
    if schema.is_null() {
        line("Configuration", "none")?;
    } else {
        line("Configuration", "JSON Schema:")?;
        writeln!(out, "{}", output::json(&schema)?)?;
    }
    Ok(Exit::Success)
}

fn wants(wants: &[WantedInput]) -> String {
    if wants.is_empty() {
        return "nothing beyond the standard inputs".to_owned();
    }
    let words = wants.iter().map(|want| {
        let arguments = want
            .arguments
            .iter()
            .map(|(name, value)| format!(" {name}={value}"));
        want.kind.clone() + &arguments.collect::<String>()
    });
    words.collect::<Vec<_>>().join(", ")
}
