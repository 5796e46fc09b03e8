//! Cost of a decision of the built-in `hpa` policy and of a policy that does nothing, and
//! time that a unit of fuel takes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use flyball_decision::context::Context;
use flyball_decision::policy::{Budget, Policy, PolicyFailure};
use flyball_decision::replica::{MetricInput, PodColumns, ReplicaInput, Target, pod_state};
use flyball_decision::time::Timestamp;
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, EngineOptions, Registry};
use flyball_test_support::bench::report;

const NOW: i64 = 1_767_225_600_000;
/// Number of rounds. The fastest counts, since the others were disturbed.
const ROUNDS: usize = 20;
/// Number of loops at different addresses.
const LOOPS: usize = 10;
/// The time of a unit of fuel that the engine assumes for the slowest machine.
const SLOWEST_UNIT_NS: f64 = 5.0;

fn main() -> anyhow::Result<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let registry = Registry::fixed(&engine, flyball_policies::BUILTIN, &[])?;
    let hpa = registry
        .compiled("hpa")
        .context("no built-in policy `hpa`")?;
    let plain = flyball_tests::guests::components("plain")?;
    let plain = CompiledPolicy::load(&engine, "nothing", &plain["nothing"], DEFAULT_BUDGET)?;
    let empty = per_decision(&plain, &ReplicaInput::default(), 2_000)?;
    report("sandbox/empty-call", empty, "µs", None)?;
    let ten = per_decision(&*hpa, &input(10), 2_000)?;
    report("sandbox/decide-10-pods", ten, "µs", None)?;
    let thousand = per_decision(&*hpa, &input(1_000), 500)?;
    report(
        "sandbox/decide-1000-pods",
        thousand,
        "µs",
        Some((2.0 * ten).min(60.0)),
    )?;
    let unit = per_unit_of_fuel(&engine)?;
    report("sandbox/ns-per-fuel", unit, "ns", Some(SLOWEST_UNIT_NS))
}

/// Returns the nanoseconds that a unit of fuel takes in an endless loop, which checks
/// fuel and clock in each iteration. The slowest round of the slowest loop counts: the
/// backstop is derived from the longest time, and a processor takes twice as long for the
/// same loop at one address as at another.
fn per_unit_of_fuel(engine: &Engine) -> anyhow::Result<f64> {
    let budget = Budget {
        fuel_base: 100_000_000,
        ..DEFAULT_BUDGET
    };
    let mut slowest = Duration::ZERO;
    for stores in 0..LOOPS {
        let endless = flyball_tests::guests::of_endless_loop(stores)?;
        let endless = CompiledPolicy::load(engine, "endless", &endless, budget)?;
        for _ in 0..ROUNDS / LOOPS {
            let start = Instant::now();
            let outcome = endless.decide(&Context::default(), &ReplicaInput::default());
            slowest = slowest.max(start.elapsed());
            anyhow::ensure!(
                matches!(outcome.answer, Err(PolicyFailure::OutOfFuel(_))),
                "fuel did not end it: {:?}",
                outcome.answer
            );
        }
    }
    Ok(slowest.as_secs_f64() * 1e9 / budget.fuel_base as f64)
}

/// Returns the microseconds that a decision takes, in the fastest round.
fn per_decision(policy: &dyn Policy, input: &ReplicaInput, decisions: u32) -> anyhow::Result<f64> {
    let context = Context {
        now: Timestamp(NOW),
        configuration: "{}".into(),
        ..Context::default()
    };
    policy
        .decide(&context, input)
        .answer
        .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let mut fastest = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..decisions {
            black_box(policy.decide(&context, black_box(input)));
        }
        fastest = fastest.min(start.elapsed() / decisions);
    }
    Ok(fastest.as_secs_f64() * 1e6)
}

/// A workload on CPU utilization with this number of pods.
fn input(pods: usize) -> ReplicaInput {
    let columns = PodColumns {
        state: vec![pod_state::RUNNING | pod_state::READY; pods],
        ready_transition_ms: vec![NOW - 3_600_000; pods],
        start_ms: vec![NOW - 3_600_000; pods],
        deletion_ms: vec![Timestamp::UNKNOWN; pods],
    };
    let metric = MetricInput {
        source: "Resource".into(),
        name: "cpu".into(),
        target_type: "Utilization".into(),
        target_average_utilization: Some(60),
        pod: (0..).take(pods).collect(),
        value: (0..).take(pods).map(|pod| 300 + pod % 100).collect(),
        timestamp_ms: vec![NOW - 15_000; pods],
        window_ms: vec![15_000; pods],
        request: vec![500; pods],
        ..MetricInput::default()
    };
    let replicas = i32::try_from(pods).unwrap_or(i32::MAX);
    ReplicaInput {
        target: Arc::new(Target {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: "default".into(),
            name: "web".into(),
        }),
        min_replicas: 1,
        max_replicas: 2_000,
        current_replicas: replicas,
        status_replicas: replicas,
        ready_replicas: replicas,
        tolerance_up: 0.1,
        tolerance_down: 0.1,
        cpu_initialization_period_ms: 300_000,
        initial_readiness_delay_ms: 30_000,
        pods: Arc::new(columns),
        metrics: vec![Arc::new(metric)],
        ..ReplicaInput::default()
    }
}
