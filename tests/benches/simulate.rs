//! `simulate/day-100-workloads`: 24 hours, 100 workloads, a sync every 15 s, every
//! decision in its sandbox; and the time of the world alone.
//! `simulate/day-1000-workloads-500-nodes`: ten times as many workloads, on nodes that come
//! and go.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use flyball_decision::policy::PolicyEngine;
use flyball_sandbox::{Engine, EngineOptions, Registry, RegistryOptions};
use flyball_simulation::{Cluster, Options, Run, Scenario, simulate};
use flyball_test_support::bench::report;

/// The daemon's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let hundred = scenario("hundred-workloads.yaml")?;
    let cluster = Cluster::new(&hundred)?;
    let start = Instant::now();
    cluster.advance_to(hundred.end())?;
    let world = start.elapsed().as_secs_f64();
    report("simulate/day-100-workloads-world", world, "s", None)?;

    let engine = Engine::new(&EngineOptions::default())?;
    let builtins = flyball_policies::BUILTIN;
    let registry = Registry::open(&engine, RegistryOptions::default(), builtins)?;
    let engine: Arc<dyn PolicyEngine> = Arc::new(registry);
    day("simulate/day-100-workloads", &hundred, &engine, 20.0)?;

    let thousand = scenario("nodes/thousand-workloads.yaml")?;
    let name = "simulate/day-1000-workloads-500-nodes";
    let run = day(name, &thousand, &engine, 180.0)?;
    let nodes = run.node_summary().context("there are no nodes")?;
    let removed = nodes.removals.map_or(0, |removals| removals.nodes);
    ensure!(removed > 0, "no node was removed");
    Ok(())
}

fn scenario(example: &str) -> anyhow::Result<Scenario> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    Ok(Scenario::load(&examples.join(example))?)
}

/// Simulates a day and reports how long that took.
fn day(
    name: &str,
    scenario: &Scenario,
    engine: &Arc<dyn PolicyEngine>,
    target: f64,
) -> anyhow::Result<Run> {
    let start = Instant::now();
    let run = simulate("hpa", scenario, Arc::clone(engine), &Options::default())?;
    let seconds = start.elapsed().as_secs_f64();
    let journal = &run.journal;
    ensure!(journal.failures == 0, "{} failures", journal.failures);
    let least = scenario.workloads.len() as u64 * 5760;
    ensure!(journal.count >= least, "{} decisions", journal.count);
    report(name, seconds, "s", Some(target))?;
    Ok(run)
}
