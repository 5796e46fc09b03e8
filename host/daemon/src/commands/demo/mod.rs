//! `flyball demo`: the daemon's own parts on the embedded cluster, in fast time, with a
//! policy and an expander that are replaced half way.

mod screen;
mod summary;
mod swap;
mod tally;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flyball_decision::policy::{DEFAULT_EXPANDER, DEFAULT_REPLICA_POLICY};
use flyball_nodes::options::NodeOptions;
use flyball_replicas::options::ReplicaOptions;
use flyball_sandbox::{Engine, EngineOptions, Registry, RegistryOptions};
use flyball_simulation::{Progress, Run, RunRecorder, Scenario};

use self::screen::Screen;
use self::swap::Swap;
use self::tally::Tally;
use super::simulate::write_report;
use super::{Exit, run::stop_on_signals};
use crate::cli::{Compilation, DemoArgs};
use crate::clock::StopSignal;
use crate::output::{self, STRONG, styled};
use crate::simulated::{LoopOptions, Simulated};

const SCENARIO: &str = include_str!("../../../../../examples/demo.yaml");

/// Length of the day in seconds of real time.
const SECONDS: f64 = 17.0;
const FAST_SECONDS: f64 = 6.0;

/// Part of the day, in percent, after which the files are copied.
const COPY_PERCENT: i64 = 50;
/// Part of the day, in percent, after which it waits until they have been compiled: before
/// the flash crowd.
const WAIT_PERCENT: i64 = 56;
/// Maximum time that the day waits.
const SWAP_TIMEOUT: Duration = Duration::from_secs(60);

pub fn run(args: &DemoArgs) -> anyhow::Result<Exit> {
    let scenario = Scenario::parse(SCENARIO, Path::new("demo.yaml"), Path::new(""))?;
    let temporary = tempfile::tempdir().context("cannot create a temporary folder")?;
    let setup = DemoSetup::new(args, temporary.path())?;
    let seconds = if args.fast { FAST_SECONDS } else { SECONDS };
    let mut out = output::out();
    writeln!(
        out,
        "{}, in {seconds} seconds",
        styled(STRONG, &scenario.name)
    )?;
    writeln!(out, "policies directory  {}\n", setup.directory.display())?;
    out.flush()?;
    drop(out);

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (run, tally) = runtime.block_on(run_day(&setup, scenario, seconds))?;
    write_report(&args.report, std::slice::from_ref(&run))?;
    summary::print(&run, &setup.swaps, &tally, &args.report)?;
    for swap in &setup.swaps {
        swap.check(&setup.registry)?;
    }
    Ok(Exit::Success)
}

/// Registry and files of the demo.
struct DemoSetup {
    registry: Arc<Registry>,
    directory: PathBuf,
    /// The policy and the expander that take over half way.
    swaps: [Swap; 2],
}

impl DemoSetup {
    fn new(args: &DemoArgs, temporary: &Path) -> anyhow::Result<Self> {
        let directory = args
            .policies_dir
            .clone()
            .unwrap_or_else(|| temporary.join("policies"));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let swaps = [
            Swap::new(
                DEFAULT_REPLICA_POLICY,
                args.swap.as_deref(),
                ("predictive", flyball_policies::PREDICTIVE),
                &directory,
            )?,
            Swap::new(
                DEFAULT_EXPANDER,
                args.swap_expander.as_deref(),
                ("cheapest", flyball_policies::CHEAPEST),
                &directory,
            )?,
        ];
        let engine = EngineOptions {
            cache_directory: Some(temporary.join("code")),
            compiler: Some(Compilation::default().compiler()),
            ..EngineOptions::default()
        };
        let options = RegistryOptions {
            directory: Some(directory.clone()),
            ..RegistryOptions::default()
        };
        let engine = Engine::new(&engine).context("cannot set up the sandbox")?;
        // The others would only be compiled.
        let mut builtins = flyball_policies::BUILTIN.to_vec();
        builtins.retain(|(name, _)| swaps.iter().any(|swap| swap.in_use == *name));
        let registry = Registry::open(&engine, options, &builtins)?;
        registry.rescan();
        Ok(Self {
            registry: Arc::new(registry),
            directory,
            swaps,
        })
    }

    /// Copies the files when it is time, and prints which have taken over.
    fn advance(&self, progress: &Progress, screen: &Screen) {
        let is_after = |percent: i64| progress.elapsed_ms * 100 >= progress.duration_ms * percent;
        if !is_after(COPY_PERCENT) {
            return;
        }
        for swap in &self.swaps {
            match swap.copy() {
                Ok(true) => screen.print_copied(progress.at, swap),
                Ok(false) => {}
                Err(error) => tracing::error!("{error:#}"),
            }
        }
        // Otherwise, on a busy machine, the day would end before the files are compiled.
        if is_after(WAIT_PERCENT) && !self.swaps.iter().all(Swap::is_active) {
            self.registry.rescan_within(SWAP_TIMEOUT);
        }
        for swap in &self.swaps {
            if let Some(after) = swap.newly_active(&self.registry) {
                screen.print_took_over(progress.at, swap, after);
            }
        }
    }
}

async fn run_day(
    setup: &DemoSetup,
    scenario: Scenario,
    seconds: f64,
) -> anyhow::Result<(Run, Tally)> {
    let (stop_trigger, stop) = StopSignal::new();
    stop_on_signals(stop_trigger)?;
    let speed = scenario.duration.seconds() / seconds;
    let nodes = NodeOptions {
        host_version: env!("CARGO_PKG_VERSION").into(),
        ..NodeOptions::default()
    };
    let options = LoopOptions {
        replica: Some(ReplicaOptions {
            sync_period_ms: scenario.sync_period.0,
            ..ReplicaOptions::default()
        }),
        nodes: Some(scenario.node_autoscaler.options(&nodes)),
    };
    let screen = Arc::new(Screen::new(&scenario, &setup.swaps));
    let recorders = vec![Arc::clone(&screen) as Arc<dyn RunRecorder>];
    let simulated = Simulated::new(scenario, recorders)?;
    let on_sync = |progress: &Progress| {
        screen.show(progress);
        setup.advance(progress, &screen);
    };
    let run = simulated
        .play(speed, options, &setup.registry, stop, on_sync)
        .await;
    let tally = screen.finish();
    Ok((run?, tally))
}
