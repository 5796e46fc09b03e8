//! `simulate/day-100-workloads`: 24 hours, 100 workloads, a sync every 15 s, every
//! decision in its sandbox; and the time of the world alone.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flyball_decision::policy::PolicyEngine;
use flyball_sandbox::{Engine, EngineOptions, Registry, RegistryOptions};
use flyball_simulation::{Cluster, Options, Scenario, simulate};
use flyball_test_support::bench::report;

/// The daemon's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hundred-workloads.yaml");
    let scenario = Scenario::load(&file)?;

    let cluster = Cluster::new(&scenario)?;
    let start = Instant::now();
    cluster.advance_to(scenario.end())?;
    let world = start.elapsed().as_secs_f64();
    report("simulate/day-100-workloads-world", world, "s", None)?;

    let engine = Engine::new(&EngineOptions::default())?;
    let builtins = flyball_policies::BUILTIN;
    let registry = Registry::open(&engine, RegistryOptions::default(), builtins)?;
    let engine: Arc<dyn PolicyEngine> = Arc::new(registry);
    let start = Instant::now();
    let run = simulate("hpa", &scenario, engine, &Options::default())?;
    let seconds = start.elapsed().as_secs_f64();
    let journal = &run.journal;
    anyhow::ensure!(journal.failures == 0, "{} failures", journal.failures);
    anyhow::ensure!(journal.count >= 100 * 5760, "{} decisions", journal.count);
    report("simulate/day-100-workloads", seconds, "s", Some(20.0))
}
