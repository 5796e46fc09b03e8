//! `flyball policy test`: runs the author's cases in the real sandbox.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use flyball_decision::policy::{Policy as _, PolicyOutcome, Usage};
use flyball_decision::text;
use flyball_sandbox::CompiledPolicy;
use serde_json::{Value, json};

use super::Exit;
use super::ask::ask;
use super::case::{Case, Difference, read_folder};
use crate::cli::{Format, TestArgs};
use crate::output::{self, BAD, DIM, GOOD, Out, POLICY, WARNING, plain, styled};
use crate::{policies, wiring};

/// Share of a budget from which on a warning is printed.
const WARNING_SHARE: f64 = 0.8;

pub fn run(args: &TestArgs) -> anyhow::Result<Exit> {
    let (source, cases) = sources(args)?;
    let cases = read_folder(&cases)?;
    let engine = wiring::engine(None, &args.budgets.compilation)?;
    let policy = policies::compile(&engine, &source, args.budgets.of(&source.name))?;
    let results: Vec<CaseResult> = cases.iter().map(|case| run_case(&policy, case)).collect();
    match args.output.format {
        Format::Json => output::print_json(&json!({
            "policy": &**policy.version(),
            "cases": results.iter().map(CaseResult::to_json).collect::<Vec<_>>(),
        }))?,
        Format::Text => print(&policy, &results)?,
    }
    let passed = results.iter().all(CaseResult::passed);
    Ok(if passed {
        Exit::Success
    } else {
        Exit::Different
    })
}

/// Returns the policy, and the folder of its cases.
fn sources(args: &TestArgs) -> anyhow::Result<(policies::Source, PathBuf)> {
    if args.policy.is_dir() {
        let built = super::build::build(&args.policy)?;
        let cases = args
            .cases
            .clone()
            .unwrap_or_else(|| args.policy.join("cases"));
        return Ok((
            policies::Source {
                name: built.name,
                component: built.component,
            },
            cases,
        ));
    }
    ensure!(
        args.policy.exists(),
        "there is no {}",
        args.policy.display()
    );
    let cases = args
        .cases
        .clone()
        .context("a built policy needs --cases DIR")?;
    Ok((policies::read(&args.policy)?, cases))
}

struct CaseResult {
    name: String,
    differences: Vec<Difference>,
    /// Reason of the answer, or the failure.
    reason: String,
    usage: Usage,
    /// Used shares of the budgets.
    fuel_share: f64,
    memory_share: f64,
    log: Vec<(u32, String)>,
}

fn run_case(policy: &CompiledPolicy, case: &Case) -> CaseResult {
    let PolicyOutcome { usage, answer, log } = ask(policy, &case.input);
    CaseResult {
        name: case.name.clone(),
        differences: case.expect.differences(&answer),
        reason: match answer {
            Ok(answer) => {
                let reason = answer.reason();
                reason.map_or_else(String::new, |reason| reason.sentence.clone())
            }
            Err(failure) => failure.to_string(),
        },
        usage,
        fuel_share: share(usage.fuel, usage.fuel_budget),
        memory_share: share(usage.memory_bytes, policy.budget().memory_bytes),
        log,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share, shown in percent")]
fn share(used: u64, budget: u64) -> f64 {
    if budget == 0 {
        0.0
    } else {
        used as f64 / budget as f64
    }
}

impl CaseResult {
    fn passed(&self) -> bool {
        self.differences.is_empty()
    }

    /// Returns the budgets that are nearly exhausted.
    fn near_budgets(&self) -> impl Iterator<Item = &'static str> {
        [("fuel", self.fuel_share), ("memory", self.memory_share)]
            .into_iter()
            .filter(|(_, share)| *share >= WARNING_SHARE)
            .map(|(budget, _)| budget)
    }

    fn to_json(&self) -> Value {
        let differences = self.differences.iter().map(|difference| {
            json!({
                "field": difference.field,
                "expected": difference.expected,
                "actual": difference.actual,
            })
        });
        json!({
            "name": self.name,
            "passed": self.passed(),
            "differences": differences.collect::<Vec<_>>(),
            "reason": self.reason,
            "usage": self.usage,
            "budgetShare": {"fuel": self.fuel_share, "memory": self.memory_share},
            "log": self.log,
        })
    }
}

fn print(policy: &CompiledPolicy, results: &[CaseResult]) -> anyhow::Result<()> {
    let mut out = output::out();
    let version = policy.version();
    let name = styled(
        POLICY,
        format!("{}@{}", version.name, version.short_digest()),
    );
    writeln!(
        out,
        "{name}  {} in the sandbox\n",
        text::counted(results.len(), "case")
    )?;
    let names = results.iter();
    let names = names.map(|result| plain(&result.name).chars().count());
    let widest = names.max().unwrap_or(0);
    for result in results {
        print_case(&mut out, result, widest)?;
    }
    writeln!(out)?;
    let passed = results.iter().filter(|result| result.passed()).count();
    match results.len() - passed {
        0 => writeln!(out, "{}", styled(GOOD, format!("{passed} passed")))?,
        failed => writeln!(
            out,
            "{}, {passed} passed",
            styled(BAD, format!("{failed} failed"))
        )?,
    }
    Ok(())
}

fn print_case(out: &mut Out, result: &CaseResult, widest: usize) -> anyhow::Result<()> {
    let verdict = if result.passed() {
        styled(GOOD, "ok  ")
    } else {
        styled(BAD, "FAIL")
    };
    let cost = format!(
        "fuel {:>9} ({:.1}% of the budget)  memory {:>7} ({:.1}%)",
        output::count(result.usage.fuel),
        result.fuel_share * 100.0,
        output::bytes(result.usage.memory_bytes),
        result.memory_share * 100.0,
    );
    writeln!(
        out,
        "{verdict}  {:<widest$}  {}",
        plain(&result.name),
        styled(DIM, cost)
    )?;
    for budget in result.near_budgets() {
        let warning = format!(
            "above 80% of its {budget} budget: raise it with --policy-budget of flyball run"
        );
        writeln!(out, "      {}", styled(WARNING, warning))?;
    }
    for Difference {
        field,
        expected,
        actual,
    } in &result.differences
    {
        let (expected, actual) = (plain(expected), plain(actual));
        writeln!(out, "      {}", plain(field))?;
        writeln!(out, "        {} {expected}", styled(GOOD, "- expected"))?;
        writeln!(out, "        {} {actual}", styled(BAD, "+ actual  "))?;
    }
    if !result.passed() {
        let reason = plain(&result.reason);
        writeln!(out, "      {} {reason}", styled(DIM, "because"))?;
        for (_, line) in &result.log {
            writeln!(out, "      {} {}", styled(DIM, "log"), plain(line))?;
        }
    }
    Ok(())
}
