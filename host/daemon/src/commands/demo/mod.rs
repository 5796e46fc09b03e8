//! `flyball demo`: the daemon's own parts on the embedded cluster, in fast time,
//! and a change of policy half way.

mod screen;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use flyball_core::control::ReplicaOptions;
use flyball_core::policy::DEFAULT_REPLICA_POLICY;
use flyball_core::recorder::Recorder;
use flyball_sandbox::{Engine, EngineOptions, Registry, RegistryOptions};
use flyball_simulation::{Progress, Run, Scenario};

use self::screen::Screen;
use super::simulate::{print_policies, summary_table, write_report};
use super::{Exit, run::stop_on_signals};
use crate::cli::{Compilation, DemoArgs};
use crate::clock::Stop;
use crate::output::{self, STRONG, styled};
use crate::policies;
use crate::simulated::{LoopOptions, Simulated};

const SCENARIO: &str = include_str!("../../../../../examples/demo.yaml");

/// How long the day takes, in seconds on the wall.
const SECONDS: f64 = 18.0;
const FAST_SECONDS: f64 = 6.0;

/// How long the day waits for the policy that is to take over.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(args: &DemoArgs) -> anyhow::Result<Exit> {
    let scenario = Scenario::parse(SCENARIO, Path::new("demo.yaml"), Path::new(""))?;
    let temporary = tempfile::tempdir().context("cannot create a temporary folder")?;
    let stage = Stage::set(args, temporary.path())?;
    let seconds = if args.fast { FAST_SECONDS } else { SECONDS };
    let mut out = output::out();
    writeln!(
        out,
        "{}, in {seconds} seconds",
        styled(STRONG, &scenario.name)
    )?;
    writeln!(out, "policies directory  {}\n", stage.directory.display())?;
    out.flush()?;
    drop(out);

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let run = runtime.block_on(play(&stage, scenario, seconds))?;
    write_report(&args.report, std::slice::from_ref(&run))?;
    print_end(&run, &args.report)?;
    ensure!(
        stage.swapped.load(Ordering::Relaxed),
        "the demo was stopped before the change of policy"
    );
    ensure!(
        run.journal.policies.len() > 1,
        "the new policy was not taken over: see the log"
    );
    Ok(Exit::Success)
}

/// What the demo plays with.
struct Stage {
    registry: Arc<Registry>,
    directory: PathBuf,
    /// What takes over half way.
    other: policies::Source,
    swapped: AtomicBool,
}

impl Stage {
    fn set(args: &DemoArgs, temporary: &Path) -> anyhow::Result<Self> {
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

    /// Puts the other policy into the directory, as a user would.
    fn drop_in(&self) -> anyhow::Result<PathBuf> {
        let file = swap_file(&self.directory);
        fs::write(&file, &self.other.component)
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

fn swap_file(directory: &Path) -> PathBuf {
    directory.join(format!("{DEFAULT_REPLICA_POLICY}.wasm"))
}

async fn play(stage: &Stage, scenario: Scenario, seconds: f64) -> anyhow::Result<Run> {
    let (stopper, stop) = Stop::new();
    stop_on_signals(stopper)?;
    let speed = scenario.duration.seconds() / seconds;
    let options = LoopOptions {
        replica: Some(ReplicaOptions {
            sync_period_ms: scenario.sync_period.0,
            ..ReplicaOptions::default()
        }),
        nodes: None,
    };
    let screen = Arc::new(Screen::new(&scenario));
    let recorders = vec![Arc::clone(&screen) as Arc<dyn Recorder>];
    let simulated = Simulated::new(scenario, recorders)?;
    let on_sync = |progress: &Progress| {
        screen.show(progress);
        if progress.elapsed_ms * 2 >= progress.duration_ms
            && !stage.swapped.swap(true, Ordering::Relaxed)
        {
            match stage.drop_in() {
                Ok(file) => screen.dropped_in(progress.at, &stage.other.name, &file),
                Err(error) => tracing::error!("{error:#}"),
            }
        }
        // On a busy machine the day would end before the policy is compiled.
        if progress.elapsed_ms * 10 >= progress.duration_ms * 6 {
            stage.registry.rescan_within(PATIENCE);
        }
    };
    let run = simulated
        .play(speed, options, &stage.registry, stop, on_sync)
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
