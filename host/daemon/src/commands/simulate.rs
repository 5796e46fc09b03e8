//! `flyball simulate`.

mod contenders;
mod node_figures;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use flyball_decision::policy::PolicyEngine;
use flyball_decision::text::counted;
use flyball_replicas::options::ReplicaOptions;
use flyball_report::{figures, page};
use flyball_sandbox::Registry;
use flyball_simulation::{Contender, Options, Progress, Run, RunError, Scenario, Summary};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::Exit;
use crate::cli::{Format, SimulateArgs};
use crate::output::{self, DIM, POLICY, STRONG, Table, WARNING, plain, styled};
use crate::record_file::RecordFile;
use crate::simulated::{Swapper, named_by_policies};
use crate::wiring;

pub fn run(args: &SimulateArgs) -> anyhow::Result<Exit> {
    let mut scenario = Scenario::load(&args.scenario)?;
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    let files = wiring::policy_files(args.policies.policies_dir.as_deref())?;
    let registry = Arc::new(wiring::fixed_registry(&files, &args.budgets)?);
    if !args.expander.is_empty() {
        contenders::choose_expanders(&mut scenario, &registry, &args.expander)?;
    }
    let contenders = contenders::contenders(&registry, &scenario, &args.compare)?;
    let file = args
        .records
        .as_deref()
        .map(RecordFile::create)
        .transpose()?
        .map(Arc::new);

    let bar = Bar::of(contenders.len().max(1));
    let options = Options {
        replica: ReplicaOptions {
            scale_to_zero: args.gates.feature_gates.hpa_scale_to_zero,
            ..ReplicaOptions::default()
        },
        recorders: file.iter().map(|file| Arc::clone(file) as _).collect(),
        ..Options::default()
    };
    let runs = simulate(&scenario, &registry, &contenders, options, &bar)
        .map_err(|error| anyhow!("{}: {error}", args.scenario.display()))?;
    bar.bar.finish_and_clear();
    if let Some(file) = &file {
        file.close()?;
    }
    let path = args
        .report
        .clone()
        .unwrap_or_else(|| usual_report(&args.scenario));
    write_report(&path, &runs)?;
    match args.output.format {
        Format::Json => output::print_json(&to_json(&scenario, &runs, &path))?,
        Format::Text => print(&scenario, &runs, &path, args.records.as_deref())?,
    }
    let mut swaps = runs.iter().flat_map(|run| &run.swaps);
    let mut unread = runs.iter().flat_map(|run| run.journal.unread_metrics());
    Ok(
        if swaps.any(|(_, outcome)| outcome.is_err()) || unread.next().is_some() {
            Exit::Different
        } else {
            Exit::Success
        },
    )
}

fn simulate(
    scenario: &Scenario,
    registry: &Arc<Registry>,
    contenders: &[Contender],
    options: Options<'_>,
    bar: &Bar,
) -> Result<Vec<Run>, RunError> {
    let swapper = Swapper(registry);
    let on_progress = |progress: &Progress| bar.show(progress);
    let options = Options {
        swapper: Some(&swapper),
        progress: Some(&on_progress),
        ..options
    };
    let engine = Arc::clone(registry) as Arc<dyn PolicyEngine>;
    if contenders.is_empty() {
        let run = flyball_simulation::simulate("", scenario, engine, &options)?;
        return Ok(vec![named_by_policies(run)]);
    }
    flyball_simulation::compare(scenario, contenders, &engine, &options)
}

/// Progress bar over all runs; hidden if output is not interactive.
struct Bar {
    bar: ProgressBar,
    /// Number of finished runs, and the last progress of the current one.
    last: Mutex<(u64, i64)>,
}

/// Length of one run on the bar.
const RUN: u64 = 1_000;

impl Bar {
    fn of(runs: usize) -> Self {
        let bar = if output::is_interactive() {
            ProgressBar::new(u64::try_from(runs).unwrap_or(1) * RUN)
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{bar:30.cyan/dim} {percent:>3}%  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            last: Mutex::default(),
        }
    }

    fn show(&self, progress: &Progress) {
        let elapsed = progress.elapsed_ms;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let over = last.0 + u64::from(elapsed < last.1);
        *last = (over, elapsed);
        let part = elapsed.saturating_mul(1_000) / progress.duration_ms.max(1);
        self.bar
            .set_position(over * RUN + u64::try_from(part).unwrap_or(0));
        let totals = &progress.totals;
        let nodes = totals.nodes.map_or(String::new(), |nodes| {
            let ready = counted(nodes.ready, "node");
            format!("  {ready}, {} pending", counted(nodes.pending, "pod"))
        });
        self.bar.set_message(format!(
            "{}  load {:.0}/s  {} replicas ({} ready){nodes}",
            output::time_of_day(progress.at),
            totals.load,
            totals.replicas,
            totals.ready
        ));
    }
}

fn usual_report(scenario: &Path) -> PathBuf {
    let stem = scenario.file_stem().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!("{stem}-report.html"))
}

/// Writes the report of runs.
pub fn write_report(path: &Path, runs: &[Run]) -> anyhow::Result<()> {
    fs::write(path, page::html(runs))
        .with_context(|| format!("cannot write the report to {}", path.display()))
}

fn print(
    scenario: &Scenario,
    runs: &[Run],
    report: &Path,
    records: Option<&Path>,
) -> anyhow::Result<()> {
    let mut out = output::out();
    writeln!(
        out,
        "{}  {} from seed {}\n",
        styled(STRONG, &scenario.name),
        scenario.duration,
        scenario.seed
    )?;
    write!(
        out,
        "{}",
        summary_table("policy", runs.iter().map(Run::summary))
    )?;
    if let [run] = runs
        && run.workloads.len() > 1
    {
        writeln!(out)?;
        write!(
            out,
            "{}",
            summary_table("workload", run.workload_summaries().take(MAX_ROWS))
        )?;
        if run.workloads.len() > MAX_ROWS {
            let more = format!(
                "… and {} more: see the report",
                run.workloads.len() - MAX_ROWS
            );
            writeln!(out, "{}", styled(DIM, more))?;
        }
    }
    node_figures::print(&mut out, runs)?;
    writeln!(out)?;
    for run in runs {
        print_policies(&mut out, run)?;
    }
    print_kept_from_zero(&mut out, runs)?;
    writeln!(out, "report   {}", report.display())?;
    if let Some(records) = records {
        writeln!(out, "records  {}", records.display())?;
    }
    Ok(())
}

/// Maximum number of workloads listed on a terminal.
const MAX_ROWS: usize = 20;

/// Returns a table of figures.
fn summary_table(first: &str, summaries: impl Iterator<Item = Summary>) -> Table {
    let first = first.to_uppercase();
    let headings = figures::COLUMNS.map(|column| format!(">{}", column.heading.to_uppercase()));
    let headings: Vec<&str> = std::iter::once(first.as_str())
        .chain(headings.iter().map(String::as_str))
        .collect();
    let mut table = Table::new(&headings);
    for summary in summaries {
        table.row(std::iter::once(summary.label.clone()).chain(figures::cells(&summary)));
    }
    table
}

/// Prints how often each policy decided, and swaps that failed.
fn print_policies(out: &mut impl std::io::Write, run: &Run) -> anyhow::Result<()> {
    for used in &run.journal.uses.versions {
        let name = format!("{}@{}", used.version.name, used.version.short_digest());
        let decisions = output::count(used.answers + used.failures);
        write!(out, "{}  decided {decisions} times", styled(POLICY, name))?;
        if used.failures > 0 {
            let failures = format!(", {} without a usable answer", output::count(used.failures));
            write!(out, "{}", styled(WARNING, failures))?;
        }
        writeln!(out)?;
    }
    for unread in run.journal.unread_metrics() {
        writeln!(out, "  {}", styled(WARNING, unread))?;
    }
    for (swap, outcome) in &run.swaps {
        if let Err(error) = outcome {
            let warning = styled(WARNING, "swap refused:");
            writeln!(
                out,
                "{warning} {} at {}: {}",
                plain(&swap.name),
                output::time_of_day(swap.at),
                plain(error)
            )?;
        }
    }
    Ok(())
}

/// Prints the objects whose `minReplicas` of 0 was not applied, which are the same in
/// each run.
fn print_kept_from_zero(out: &mut impl std::io::Write, runs: &[Run]) -> anyhow::Result<()> {
    let kept: BTreeMap<_, _> = runs
        .iter()
        .flat_map(|r| &r.journal.kept_from_zero)
        .collect();
    for (object, message) in kept.iter().take(MAX_ROWS) {
        let object = format!("{}/{}:", object.namespace, object.name);
        writeln!(out, "{} {}", styled(WARNING, object), plain(message))?;
    }
    if kept.len() > MAX_ROWS {
        let more = format!("… and {} more", kept.len() - MAX_ROWS);
        writeln!(out, "{}", styled(DIM, more))?;
    }
    Ok(())
}

fn to_json(scenario: &Scenario, runs: &[Run], report: &Path) -> Value {
    let runs: Vec<Value> = runs.iter().map(run_to_json).collect();
    json!({"scenario": scenario.name, "seed": scenario.seed, "runs": runs, "report": report})
}

fn run_to_json(run: &Run) -> Value {
    let policies = run.journal.uses.versions.iter().map(
        |used| json!({"version": used.version, "answers": used.answers, "failures": used.failures}),
    );
    let swaps = run.swaps.iter().map(|(swap, outcome)| {
        json!({"at": swap.at, "policy": swap.name, "file": swap.file, "error": outcome.as_ref().err()})
    });
    let kept_from_zero = run.journal.kept_from_zero.iter();
    let kept_from_zero =
        kept_from_zero.map(|(object, message)| json!({"object": object, "message": message}));
    json!({
        "label": run.label,
        "nodes": node_figures::to_json(run),
        "summary": summary_to_json(&run.summary()),
        "workloads": run.workload_summaries().map(|summary| summary_to_json(&summary)).collect::<Vec<_>>(),
        "decisions": run.journal.count,
        "unreadMetrics": run.journal.unread_metrics().collect::<Vec<_>>(),
        "policies": policies.collect::<Vec<_>>(),
        "swaps": swaps.collect::<Vec<_>>(),
        "keptFromZero": kept_from_zero.collect::<Vec<_>>(),
    })
}

fn summary_to_json(summary: &Summary) -> Value {
    json!({
        "label": summary.label,
        "offered": summary.offered,
        "unserved": summary.unserved,
        "aboveTargetHours": summary.above_target_hours,
        "replicaHours": summary.replica_hours,
        "changes": summary.changes,
        "biggestSwing": summary.biggest_swing,
        "mostReplicas": summary.most_replicas,
        "p95Utilization": summary.p95_utilization,
    })
}
