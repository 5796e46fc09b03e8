//! Time of a reload of the example `predictive`, which has about 90 KB of code and 140 KB
//! in total: alone, and while eight policies are compiled that never end. The binary
//! itself compiles the policies.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use flyball_decision::context::Context;
use flyball_decision::policy::{PolicyEngine as _, kind};
use flyball_decision::replica::{MetricInput, PodColumns, ReplicaInput, pod_state};
use flyball_decision::time::Timestamp;
use flyball_sandbox::{
    CompilerOptions, Engine, EngineOptions, PolicyState, Registry, RegistryOptions,
};
use flyball_test_support::bench::report;
use flyball_tests::guests;

const NOW: i64 = 1_767_225_600_000;
const RELOADS: u8 = 5;
/// Time between decisions, as a control loop has between objects.
const BETWEEN: Duration = Duration::from_micros(200);
const PODS: usize = 10;

/// Timing of decisions while policies are reloaded.
#[derive(Clone, Copy, Default)]
struct Decisions {
    /// Longest time of a decision.
    longest: Duration,
    /// Largest delay of a decision after it was due.
    latest: Duration,
}

fn main() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let options = EngineOptions {
        compiler: Some(CompilerOptions {
            // The policies that never end must not be refused for lack of memory.
            memory_bytes: Some(2 << 30),
            ..CompilerOptions::program(env!("CARGO_BIN_EXE_flyball").into())
        }),
        ..EngineOptions::default()
    };
    let engine = Engine::new(&options)?;
    let file = home.path().join("predictive.wasm");
    place(&file, &variant(flyball_policies::PREDICTIVE, 0))?;
    let options = RegistryOptions {
        directory: Some(home.path().into()),
        ..RegistryOptions::default()
    };
    let registry = Registry::open(&engine, options, flyball_policies::BUILTIN)?;
    registry.set_configurations_in_use(BTreeMap::new());
    registry.rescan();

    let (slowest, decisions) = reloads(&registry, &file, 1)?;
    report("reload/file-to-active", slowest, "ms", Some(400.0))?;
    let longest = milliseconds(decisions.longest);
    report("reload/longest-decision", longest, "ms", Some(10.0))?;

    let hostile = &guests::components("hostile")?["small_blocks"];
    for n in 0..8 {
        let path = home.path().join(format!("hostile-{n}.wasm"));
        place(&path, &variant(hostile, n))?;
    }
    compiling(&registry, 8)?;
    let (slowest, decisions) = reloads(&registry, &file, 1 + RELOADS)?;
    compiling(&registry, 8)?;
    report("reload/beside-a-bomb", slowest, "ms", Some(1_000.0))?;
    let latest = milliseconds(decisions.latest);
    report("reload/late-beside-a-bomb", latest, "ms", Some(10.0))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns the milliseconds of the slowest reload, and the decisions made meanwhile.
fn reloads(registry: &Registry, file: &Path, first: u8) -> anyhow::Result<(f64, Decisions)> {
    let stop = AtomicBool::new(false);
    let (reloads, decisions) = std::thread::scope(|scope| {
        let decisions = scope.spawn(|| decide(registry, &stop));
        let reloads: anyhow::Result<Vec<Duration>> = (first..first + RELOADS)
            .map(|n| one_reload(registry, file, &variant(flyball_policies::PREDICTIVE, n)))
            .collect();
        stop.store(true, Ordering::Relaxed);
        (reloads, decisions.join())
    });
    let slowest = reloads?.into_iter().max().unwrap_or_default();
    let decisions = decisions.map_err(|_| anyhow::anyhow!("the deciding thread failed"))??;
    Ok((milliseconds(slowest), decisions))
}

fn one_reload(registry: &Registry, file: &Path, bytes: &[u8]) -> anyhow::Result<Duration> {
    let wanted = flyball_sandbox::digest(bytes);
    let start = Instant::now();
    place(file, bytes)?;
    while !registry
        .policy(kind::REPLICA, "predictive")
        .is_ok_and(|policy| *policy.version().digest == *wanted)
    {
        ensure!(
            start.elapsed() < Duration::from_secs(30),
            "the file never became active"
        );
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(start.elapsed())
}

/// Waits until this number of policies is being compiled.
fn compiling(registry: &Registry, policies: usize) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let status = registry.status();
        let pending = status
            .iter()
            .filter(|status| status.state == PolicyState::Pending);
        if pending.count() == policies {
            return Ok(());
        }
        ensure!(
            start.elapsed() < Duration::from_secs(5),
            "not compiling: {status:?}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Decides as a control loop does, until it is stopped.
fn decide(registry: &Registry, stop: &AtomicBool) -> anyhow::Result<Decisions> {
    let context = Context {
        now: Timestamp(NOW),
        ..Context::default()
    };
    let input = input();
    let (mut decisions, mut due) = (Decisions::default(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let policy = registry
            .policy(kind::REPLICA, "hpa")
            .map_err(anyhow::Error::msg)?;
        black_box(policy.decide(&context, &input));
        decisions.longest = decisions.longest.max(start.elapsed());
        decisions.latest = decisions.latest.max(due.elapsed());
        due = Instant::now() + BETWEEN;
        std::thread::sleep(BETWEEN);
    }
    Ok(decisions)
}

/// A workload whose pods have a CPU metric.
fn input() -> ReplicaInput {
    let columns = PodColumns {
        state: vec![pod_state::RUNNING | pod_state::READY; PODS],
        ready_transition_ms: vec![NOW - 3_600_000; PODS],
        start_ms: vec![NOW - 3_600_000; PODS],
        deletion_ms: vec![Timestamp::UNKNOWN; PODS],
    };
    let metric = MetricInput {
        source: "Resource".into(),
        name: "cpu".into(),
        target_type: "Utilization".into(),
        target_average_utilization: Some(60),
        pod: (0..).take(PODS).collect(),
        value: (0..).take(PODS).map(|pod| 300 + pod).collect(),
        timestamp_ms: vec![NOW - 15_000; PODS],
        window_ms: vec![15_000; PODS],
        request: vec![500; PODS],
        ..MetricInput::default()
    };
    ReplicaInput {
        min_replicas: 1,
        max_replicas: 2_000,
        current_replicas: 10,
        status_replicas: 10,
        ready_replicas: 10,
        tolerance_up: 0.1,
        tolerance_down: 0.1,
        cpu_initialization_period_ms: 300_000,
        initial_readiness_delay_ms: 30_000,
        pods: Arc::new(columns),
        metrics: vec![Arc::new(metric)],
        ..ReplicaInput::default()
    }
}

fn place(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, bytes)?;
    Ok(std::fs::rename(new, file)?)
}

/// Returns an equivalent component with different content: with an added custom section.
fn variant(component: &[u8], n: u8) -> Vec<u8> {
    const CUSTOM: u8 = 0;
    let section = [b"\x07variant".as_slice(), &[n]].concat();
    [component, &[CUSTOM, section.len() as u8], &section].concat()
}
