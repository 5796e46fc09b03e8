//! What a reload costs of the example `predictive`, which has about 90 KB of code and
//! 140 KB in all: by itself, and while eight policies are compiled that never end.
//! Policies are compiled by the binary itself.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use flyball_core::policy::PolicyEngine as _;
use flyball_core::replica::{Context, ReplicaInput};
use flyball_core::time::Timestamp;
use flyball_sandbox::{
    CompilerOptions, Engine, EngineOptions, PolicyState, Registry, RegistryOptions,
};
use flyball_test_support::bench::report;
use flyball_tests::guests;

const NOW: i64 = 1_767_225_600_000;
const RELOADS: u8 = 5;
/// Time from one decision to the next, as a control loop has between objects.
const BETWEEN: Duration = Duration::from_millis(1);

fn main() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let options = EngineOptions {
        compiler: Some(CompilerOptions::program(
            env!("CARGO_BIN_EXE_flyball").into(),
        )),
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
    registry.look();

    let (slowest, latest) = reloads(&registry, &file, 1)?;
    report("reload/file-to-active", slowest, "ms", Some(400.0))?;
    report("reload/longest-decision", latest, "ms", Some(10.0))?;

    let hostile = &guests::components("hostile")?["small_blocks"];
    for n in 0..8 {
        let path = home.path().join(format!("hostile-{n}.wasm"));
        place(&path, &variant(hostile, n))?;
    }
    compiling(&registry, 8)?;
    let (slowest, latest) = reloads(&registry, &file, 1 + RELOADS)?;
    compiling(&registry, 8)?;
    report("reload/beside-a-bomb", slowest, "ms", Some(1_000.0))?;
    report("reload/late-beside-a-bomb", latest, "ms", Some(10.0))
}

/// Milliseconds of the slowest of some reloads, and by which the latest decision meanwhile
/// was late.
fn reloads(registry: &Registry, file: &Path, first: u8) -> anyhow::Result<(f64, f64)> {
    let stop = AtomicBool::new(false);
    let (reloads, latest) = std::thread::scope(|scope| {
        let latest = scope.spawn(|| latest_decision(registry, &stop));
        let reloads: anyhow::Result<Vec<Duration>> = (first..first + RELOADS)
            .map(|n| one_reload(registry, file, &variant(flyball_policies::PREDICTIVE, n)))
            .collect();
        stop.store(true, Ordering::Relaxed);
        (reloads, latest.join())
    });
    let slowest = reloads?.into_iter().max().unwrap_or_default();
    let latest = latest.map_err(|_| anyhow::anyhow!("the deciding thread failed"))??;
    Ok((slowest.as_secs_f64() * 1e3, latest.as_secs_f64() * 1e3))
}

fn one_reload(registry: &Registry, file: &Path, bytes: &[u8]) -> anyhow::Result<Duration> {
    let wanted = flyball_sandbox::digest(bytes);
    let start = Instant::now();
    place(file, bytes)?;
    while !registry
        .replica_policy("predictive")
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

/// Waits until so many policies are being compiled.
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

/// By how much the latest decision was late: from when it was due until it was made.
fn latest_decision(registry: &Registry, stop: &AtomicBool) -> anyhow::Result<Duration> {
    let context = Context {
        now: Timestamp(NOW),
        ..Context::default()
    };
    let input = ReplicaInput {
        min_replicas: 1,
        max_replicas: 10,
        current_replicas: 3,
        ..ReplicaInput::default()
    };
    let mut latest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + BETWEEN;
        std::thread::sleep(BETWEEN);
        let policy = registry.replica_policy("hpa").map_err(anyhow::Error::msg)?;
        black_box(policy.decide(&context, &input));
        latest = latest.max(due.elapsed());
    }
    Ok(latest)
}

fn place(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, bytes)?;
    Ok(std::fs::rename(new, file)?)
}

/// The component with other content of the same meaning: a custom section is appended.
fn variant(component: &[u8], n: u8) -> Vec<u8> {
    const CUSTOM: u8 = 0;
    let section = [b"\x07variant".as_slice(), &[n]].concat();
    [component, &[CUSTOM, section.len() as u8], &section].concat()
}
