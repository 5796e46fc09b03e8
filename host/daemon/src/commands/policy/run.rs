//! `flyball policy run`.

use std::io::Write as _;
use std::time::Instant;

use flyball_core::policy::{Policy as _, PolicyOutcome};
use flyball_sandbox::CompiledPolicy;
use serde_json::{Value, json};

use super::Exit;
use super::ask::{Answer, ask};
use super::input::{DecisionInput, read_all};
use crate::cli::RunPolicyArgs;
use crate::{output, policies, wiring};

pub fn run(args: &RunPolicyArgs) -> anyhow::Result<Exit> {
    let inputs = read_all(&args.input)?;
    let engine = wiring::engine()?;
    let source = policies::find(&args.policy)?;
    let policy = policies::compile(&engine, &source.name, &source.component)?;
    let mut out = output::out();
    for input in &inputs {
        writeln!(out, "{}", decide(&policy, input))?;
    }
    Ok(Exit::Success)
}

/// A decision and what it did cost, as a line of JSON.
fn decide(policy: &CompiledPolicy, input: &DecisionInput) -> Value {
    let start = Instant::now();
    let PolicyOutcome { usage, answer, log } = ask(policy, input);
    let time = start.elapsed();
    let answer = match answer {
        Ok(Answer::Decision(decision)) => json!({"decision": decision}),
        Ok(Answer::Ranking(ranking)) => json!({"ranking": ranking}),
        Err(failure) => json!({"failure": failure}),
    };
    json!({
        "policy": &**policy.version(),
        "output": answer,
        "log": log,
        "fuel": usage.fuel,
        "fuelBudget": usage.fuel_budget,
        "memoryBytes": usage.memory_bytes,
        "timeMicros": u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
    })
}
