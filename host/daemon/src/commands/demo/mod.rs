//! `flyball demo`: the daemon's own parts on the embedded cluster, in fast time, with a
//! change of policy half way.

mod screen;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use flyball_decision::policy::DEFAULT_REPLICA_POLICY;
use flyball_replicas::options::ReplicaOptions;
use flyball_sandbox::{Engine, EngineOptions, Registry, RegistryOptions};
use flyball_simulation::{Progress, Run, RunRecorder, Scenario};

use self::screen::Screen;
use super::simulate::{print_policies, summary_table, write_report};
use super::{Exit, run::stop_on_signals};
use crate::cli::{Compilation, DemoArgs};
use crate::clock::StopSignal;
use crate::output::{self, STRONG, styled};
use crate::policies;
use crate::simulated::{LoopOptions, Simulated};

const SCENARIO: &str = include_str!("../../../../../examples/demo.yaml");

/// Length of the day in seconds of real time.
const SECONDS: f64 = 18.0;
const FAST_SECONDS: f64 = 6.0;

/// Maximum time that the day waits until the new policy has been compiled.
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
    let run = runtime.block_on(run_day(&setup, scenario, seconds))?;
    write_report(&args.report, std::slice::from_ref(&run))?;
    print_end(&run, &args.report)?;
    ensure!(
        setup.swapped.load(Ordering::Relaxed),
        "the demo was stopped before the change of policy"
    );
    ensure!(
        run.journal.policies.len() > 1,
        "the new policy was not taken over: see the log"
    );
    Ok(Exit::Success)
}

/// Registry and files of the demo.
struct DemoSetup {
    registry: Arc<Registry>,
    directory: PathBuf,
    /// The policy that takes over half way.
    other: policies::Source,
    swapped: AtomicBool,
}

impl DemoSetup {
    fn new(args: &DemoArgs, temporary: &Path) -> anyhow::Result<Self> {
        let other = match &args.swap {
            Some(file) => policies::read(file)?,
            None => policies::Source {
                name: "predictive".to_owned(),
                component: flyball_policies::PREDICTIVE.to_vec(),
            },
        };
        let directory = args
            .policies_dir
            .clone()
            .unwrap_or_else(|| temporary.join("policies"));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let file = swap_file(&directory);
        ensure!(
            !file.exists(),
            "{} is there already: the demo wants to put it there",
            file.display()
        );
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
        let registry = Registry::open(&engine, options, flyball_policies::BUILTIN)?;
        registry.rescan();
        Ok(Self {
            registry: Arc::new(registry),
            directory,
            other,
            swapped: AtomicBool::new(false),
        })
    }

    /// Copies the other policy into the directory, as a user would.
    fn copy_policy(&self) -> anyhow::Result<PathBuf> {
        let file = swap_file(&self.directory);
        fs::write(&file, &self.other.component)
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

fn swap_file(directory: &Path) -> PathBuf {
    directory.join(format!("{DEFAULT_REPLICA_POLICY}.wasm"))
}

async fn run_day(setup: &DemoSetup, scenario: Scenario, seconds: f64) -> anyhow::Result<Run> {
    let (stop_trigger, stop) = StopSignal::new();
    stop_on_signals(stop_trigger)?;
    let speed = scenario.duration.seconds() / seconds;
    let options = LoopOptions {
        replica: Some(ReplicaOptions {
            sync_period_ms: scenario.sync_period.0,
            ..ReplicaOptions::default()
        }),
        nodes: None,
    };
    let screen = Arc::new(Screen::new(&scenario));
    let recorders = vec![Arc::clone(&screen) as Arc<dyn RunRecorder>];
    let simulated = Simulated::new(scenario, recorders)?;
    let on_sync = |progress: &Progress| {
        screen.show(progress);
        if progress.elapsed_ms * 2 >= progress.duration_ms
            && !setup.swapped.swap(true, Ordering::Relaxed)
        {
            match setup.copy_policy() {
                Ok(file) => screen.dropped_in(progress.at, &setup.other.name, &file),
                Err(error) => tracing::error!("{error:#}"),
            }
        }
        // Otherwise, on a busy machine, the day would end before the policy is compiled.
        if progress.elapsed_ms * 10 >= progress.duration_ms * 6 {
            setup.registry.rescan_within(SWAP_TIMEOUT);
        }
    };
    let run = simulated
        .play(speed, options, &setup.registry, stop, on_sync)
        .await;
    screen.finish();
    run
}

fn print_end(run: &Run, report: &Path) -> anyhow::Result<()> {
    let mut out = output::out();
    writeln!(out)?;
    write!(
        out,
        "{}",
        summary_table("policy", std::iter::once(run.summary()))
    )?;
    writeln!(out)?;
    print_policies(&mut out, run)?;
    let report = report.canonicalize().unwrap_or_else(|_| report.to_owned());
    writeln!(out, "\n{}  {}", styled(STRONG, "report"), report.display())?;
    Ok(())
}
