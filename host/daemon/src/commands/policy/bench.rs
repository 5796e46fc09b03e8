//! `flyball policy bench`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use flyball_decision::policy::{Policy as _, Usage, interface};
use flyball_sandbox::CompiledPolicy;
use serde_json::{Value, json};

use super::ask::ask;
use super::input::{DecisionInput, complete, read_all};
use super::{Exit, configuration};
use crate::cli::{BenchArgs, Format};
use crate::output::{self, POLICY, Table, styled};
use crate::{policies, wiring};

/// Minimum time and number of measurements of each input.
const TIME: Duration = Duration::from_millis(500);
const LEAST: usize = 20;

pub fn run(args: &BenchArgs) -> anyhow::Result<Exit> {
    let engine = wiring::engine(None, &args.budgets.compilation)?;
    let source = policies::find(&args.policy)?;
    let policy = policies::compile(&engine, &source, args.budgets.of(&source.name))?;
    let configuration = args.config.as_deref().map(configuration::read);
    let configuration = configuration.transpose()?;
    let mut inputs = match &args.input {
        Some(path) => read_all(path)?,
        None if policy.answers(interface::REPLICA) => typical(pods)?,
        None if policy.answers(interface::EXPANDER) => typical(options)?,
        None if policy.answers(interface::SCALE_DOWN_PODS) => typical(drained_pods)?,
        None if policy.answers(interface::SCALE_DOWN_NODES) => typical(nodes)?,
        None => typical(moves)?,
    };
    match configuration {
        Some(configuration) => {
            policy
                .check_configuration(&configuration)
                .context("--config")?;
            let text: Arc<str> = Value::Object(configuration).to_string().into();
            for input in &mut inputs {
                input.context.configuration = Arc::clone(&text);
            }
        }
        None if args.input.is_none() => {
            if let Some(needs) = configuration::need(&policy) {
                bail!(
                    "{} cannot decide without a configuration ({needs}): give one with --config",
                    args.policy
                );
            }
        }
        None => {}
    }
    let measures: Vec<Measure> = inputs.iter().map(|input| measure(&policy, input)).collect();
    let failed = measures.iter().any(|measure| measure.failure.is_some());
    let exit = if failed {
        Exit::Different
    } else {
        Exit::Success
    };
    if args.output.format == Format::Json {
        let rows: Vec<_> = measures.iter().map(Measure::to_json).collect();
        output::print_json(&json!({"policy": &**policy.version(), "inputs": rows}))?;
        return Ok(exit);
    }
    let version = policy.version();
    let mut out = output::out();
    writeln!(
        out,
        "{}\n",
        styled(
            POLICY,
            format!("{}@{}", version.name, version.short_digest())
        )
    )?;
    write!(out, "{}", table(&measures))?;
    Ok(exit)
}

/// Returns inputs of increasing size.
fn typical(input: impl Fn(usize) -> Value) -> anyhow::Result<Vec<DecisionInput>> {
    let sizes = [1, 10, 100, 1_000].into_iter();
    sizes.map(|rows| complete(input(rows))).collect()
}

/// Returns node groups with nodes of increasing size, for a hundred pods.
fn options(count: usize) -> Value {
    let option = |row: usize| {
        let cores = 2_000 * (row % 16 + 1);
        json!({
            "nodeGroup": format!("group-{row}"), "nodeCount": 100_000 / cores, "podCount": 100,
            "requestedCpu": 50_000, "requestedMemory": 100_u64 << 30,
            "capacityCpu": cores, "capacityMemory": (cores as u64) << 22,
            "nodePrice": cores as f64 / 40_000.0, "podPrice": 2.5
        })
    };
    json!({"input": {
        "options": (0..count).map(option).collect::<Vec<_>>(), "clusterNodeCount": 50
    }})
}

/// Returns pods of a tenth as many nodes.
fn drained_pods(pods: usize) -> Value {
    let pod = |row: usize| json!({"node": row / 10, "cpu": 100, "priority": row % 3});
    json!({"input": {
        "nodes": vec![json!({"price": 0.1}); pods / 10 + 1],
        "pods": (0..pods).map(pod).collect::<Vec<_>>()
    }})
}

/// Returns nodes of increasing utilization.
fn nodes(count: usize) -> Value {
    let node = |row: usize| json!({"requestedCpu": row * 4_000 / count, "podCount": 10, "cost": 10, "price": 0.1});
    json!({"input": {"nodes": (0..count).map(node).collect::<Vec<_>>()}})
}

/// Returns moves of one node each, every second one with a cheaper node in its place.
fn moves(count: usize) -> Value {
    let one = |row: usize| match row % 2 {
        0 => json!({"leaving": [row], "cost": 10, "priceBefore": 0.1}),
        _ => json!({
            "leaving": [row], "coming": [{"group": "small"}], "cost": 10,
            "priceBefore": 0.1, "priceAfter": 0.05
        }),
    };
    json!({"input": {
        "groups": [{"name": "small"}],
        "nodes": vec![json!({"group": "small"}); count],
        "moves": (0..count).map(one).collect::<Vec<_>>()
    }})
}

/// Returns a target at 120% of its cpu target.
fn pods(pods: usize) -> Value {
    json!({"input": {
        "pods": pods,
        "maxReplicas": 10_000,
        "metrics": [{
            "name": "cpu", "targetType": "Utilization", "targetAverageUtilization": 50,
            "request": 500, "value": vec![300; pods]
        }]
    }})
}

struct Measure {
    rows: usize,
    usage: Usage,
    /// Failure of the first decision, if it failed.
    failure: Option<String>,
    /// Times of the decisions, ascending.
    times: Vec<Duration>,
}

fn measure(policy: &CompiledPolicy, input: &DecisionInput) -> Measure {
    let outcome = ask(policy, input);
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < LEAST || start.elapsed() < TIME {
        let before = Instant::now();
        std::hint::black_box(ask(policy, input));
        times.push(before.elapsed());
    }
    times.sort_unstable();
    Measure {
        rows: input.input.rows(),
        usage: outcome.usage,
        failure: outcome.answer.err().map(|failure| failure.to_string()),
        times,
    }
}

impl Measure {
    fn quantile(&self, share: usize) -> Duration {
        self.times[(self.times.len() - 1) * share / 100]
    }

    fn to_json(&self) -> serde_json::Value {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        json!({
            "rows": self.rows,
            "usage": self.usage,
            "failure": self.failure,
            "decisions": self.times.len(),
            "microseconds": {
                "min": micros(self.quantile(0)),
                "median": micros(self.quantile(50)),
                "p99": micros(self.quantile(99)),
                "max": micros(self.quantile(100)),
            },
        })
    }
}

fn table(measures: &[Measure]) -> Table {
    let headings = [
        ">ROWS",
        ">FUEL",
        ">OF BUDGET",
        ">MEMORY",
        ">MIN",
        ">MEDIAN",
        ">P99",
        ">MAX",
        "~FAILURE",
    ];
    let mut table = Table::new(&headings);
    for measure in measures {
        let usage = measure.usage;
        let share = u128::from(usage.fuel) * 1_000 / u128::from(usage.fuel_budget.max(1));
        let mut row = vec![
            measure.rows.to_string(),
            output::count(usage.fuel),
            format!("{}.{}%", share / 10, share % 10),
            output::bytes(usage.memory_bytes),
        ];
        row.extend([0, 50, 99, 100].map(|share| output::elapsed(measure.quantile(share))));
        row.push(measure.failure.clone().unwrap_or_default());
        table.row(row);
    }
    table
}
