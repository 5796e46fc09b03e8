//! `flyball policy run`.

use std::io::Write as _;
use std::time::Instant;

use flyball_core::policy::{PolicyOutcome, ReplicaPolicy};
use flyball_core::record::Answer;
use serde_json::{Value, json};

use super::Exit;
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
fn decide(policy: &dyn ReplicaPolicy, input: &DecisionInput) -> Value {
    let start = Instant::now();
    let PolicyOutcome { usage, answer, log } = policy.decide(&input.context, &input.input);
    let time = start.elapsed();
    let answer = match answer {
        Ok(decision) => Answer::Decision(decision),
        Err(failure) => Answer::Failure(failure),
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
