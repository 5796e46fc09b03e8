//! `flyball policy run`.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flyball_decision::policy::{Policy as _, PolicyOutcome};
use flyball_sandbox::CompiledPolicy;
use serde_json::{Value, json};

use super::Exit;
use super::ask::{Answer, ask};
use super::input::read_all;
use crate::cli::RunPolicyArgs;
use crate::{output, policies, wiring};

pub fn run(args: &RunPolicyArgs) -> anyhow::Result<Exit> {
    let inputs = read_all(&args.input)?;
    let engine = wiring::engine(None, &args.budgets.compilation)?;
    let source = policies::find(&args.policy)?;
    let policy = policies::compile(&engine, &source, args.budgets.of(&source.name))?;
    let mut exit = Exit::Success;
    let mut out = output::out();
    for input in &inputs {
        let start = Instant::now();
        let outcome = ask(&policy, input);
        let time = start.elapsed();
        if outcome.answer.is_err() {
            exit = Exit::Different;
        }
        let answer = to_json(&policy, outcome, time);
        writeln!(out, "{}", output::json_line(&answer))?;
    }
    Ok(exit)
}

/// Formats a decision and its cost as a line of JSON.
fn to_json(policy: &CompiledPolicy, outcome: PolicyOutcome<Answer>, time: Duration) -> Value {
    let PolicyOutcome { usage, answer, log } = outcome;
    let answer = match answer {
        Ok(Answer::Decision(decision)) => json!({"decision": decision}),
        Ok(Answer::Ranking(ranking)) => json!({"ranking": ranking}),
        Ok(verdicts @ (Answer::Pods(_) | Answer::Nodes(_) | Answer::Moves(_))) => {
            json!({"verdicts": verdicts})
        }
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
