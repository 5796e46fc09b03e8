//! `nodes/spread-production`: 500 nodes in three zones with random free room, 3,000
//! pending pods of 60 workloads, two thirds of them spread, and 12 groups.

use std::sync::Arc;

use flyball_decision::policy::PolicyEngine;
use flyball_test_plans::production::{Sizes, production};
use flyball_test_plans::{Answer, Field};
use flyball_test_support::bench::report;

use crate::world::{NOW, World};
use crate::{carried_out, fewest_nodes, median};

/// Number of runs of the greedy planner, of which the best counts.
const RUNS: usize = 200;
const SEED: u64 = 0;

pub fn run(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    measure("nodes/spread-production", Sizes::Different, engine)?;
    measure("nodes/spread-production-alike", Sizes::Alike, engine)
}

fn measure(name: &str, sizes: Sizes, engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    let drawn = production(sizes);
    let world = World::new(drawn.state(), drawn.groups.clone());
    let options = fewest_nodes();
    let mut times = Vec::new();
    for _ in 0..9 {
        times.push(world.control(&options, engine).tick(NOW));
    }
    report(name, median(times), "ms", Some(100.0))?;

    let mut control = world.control(&options, engine);
    control.tick(NOW);
    let decided = control.decided()?;
    let outcome = carried_out(&world, &options, &decided);
    let mut state = world.state();
    let census = drawn.census(&state, &options);
    let greedy = Field::new(&mut state, &census, &options).best(RUNS, SEED);
    drop(state);
    let greedy = greedy.map_or(f64::NAN, |greedy| f64::from(greedy.nodes));
    let nodes = f64::from(Answer::from(&*decided).nodes());
    let empty = f64::from(u32::try_from(outcome.empty.len())?);
    let orders = f64::from(u32::try_from(decided.verdict.orders.len())?);
    report(
        &format!("{name}-nodes"),
        nodes / greedy,
        "greedy",
        Some(1.05),
    )?;
    report(&format!("{name}-greedy"), greedy, "nodes", None)?;
    report(
        &format!("{name}-left"),
        outcome.left.into(),
        "pods",
        Some(0.0),
    )?;
    report(&format!("{name}-empty"), empty, "nodes", Some(0.0))?;
    report(&format!("{name}-orders"), orders, "orders", None)
}
