//! `cargo xtask campaign fuzz`: runs each fuzz target for long, and keeps what is found.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;

use super::{Summary, Target, build, names, run_each};
use crate::command::output;

/// Minutes of processor time after which a target's results are written, and another one's
/// turn comes: little is lost if the campaign is ended.
const SLICE: u64 = 10;

/// Beginning of the page.
const PAGE: &str = "\
# Fuzzing

`cargo xtask campaign fuzz` writes this page. It runs each target under libFuzzer until it had \
an hour of processor time, and goes on where an earlier run ended: the table has the time of \
each up to now, which is less than an hour for a new target. `tests/fuzz/corpus` gets the fewest \
of the inputs that reach all edges of the code's flow that were reached. Only runs without a \
fault count: without a panic, five minutes for one input, memory out of proportion, or a message \
beyond the limits.

| target | processor minutes | inputs | edges reached | corpus |
|---|---|---|---|---|
";

/// What was done for a target.
#[derive(Default)]
struct Row {
    minutes: u64,
    inputs: u64,
    edges: u64,
    /// Number of inputs in the repository.
    corpus: usize,
}

/// Runs targets until each had a processor time, by the page, and brings the page and the
/// corpus up to date. The target that had the least time is next.
pub fn run(targets: &[String], minutes: u64, page: &Path) -> anyhow::Result<()> {
    let program = build()?;
    let waiting = match targets {
        [] => names()?,
        named => named.to_vec(),
    };
    let campaign = Mutex::new(Campaign {
        rows: read(page),
        waiting,
    });
    let lock = || campaign.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || lock().next(minutes);
    run_each(&program, next, |target, summary| {
        keep(target)?;
        let name = &target.name;
        let corpus = fs::read_dir(target.committed())?.count();
        let mut campaign = lock();
        let row = campaign.rows.entry(name.clone()).or_default();
        row.add(&summary, corpus);
        let total = row.minutes;
        campaign.waiting.push(name.clone());
        write(page, &campaign.rows)?;
        println!("{name}: recorded {total} of {minutes} min, {corpus} inputs in the corpus");
        Ok(())
    })
}

/// What is known between runs.
struct Campaign {
    rows: BTreeMap<String, Row>,
    /// Targets that no thread runs.
    waiting: Vec<String>,
}

impl Campaign {
    /// Takes the target that had the least time, and returns the time of its next run.
    fn next(&mut self, minutes: u64) -> Option<(String, Duration)> {
        let had = |name: &String| self.rows.get(name).map_or(0, |row| row.minutes);
        let least = (0..self.waiting.len()).min_by_key(|&target| had(&self.waiting[target]))?;
        let left = minutes.saturating_sub(had(&self.waiting[least]));
        if left == 0 {
            return None;
        }
        let name = self.waiting.swap_remove(least);
        Some((name, Duration::from_secs(60 * left.min(SLICE))))
    }
}

impl Row {
    fn add(&mut self, run: &Summary, corpus: usize) {
        self.minutes += run.time.as_secs() / 60;
        self.inputs += run.inputs;
        self.edges = run.edges;
        self.corpus = corpus;
    }
}

/// Reads the rows of the page; there are none at first.
fn read(page: &Path) -> BTreeMap<String, Row> {
    let text = fs::read_to_string(page).unwrap_or_default();
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let name = cells.next()?.trim_matches('`').to_owned();
        let mut number = || cells.next()?.parse().ok();
        let row = Row {
            minutes: number()?,
            inputs: number()?,
            edges: number()?,
            corpus: usize::try_from(number()?).ok()?,
        };
        Some((name, row))
    };
    text.lines().filter_map(row).collect()
}

fn write(page: &Path, rows: &BTreeMap<String, Row>) -> anyhow::Result<()> {
    let line = |(name, row): (&String, &Row)| {
        let Row {
            minutes,
            inputs,
            edges,
            corpus,
        } = row;
        format!("| `{name}` | {minutes} | {inputs} | {edges} | {corpus} |\n")
    };
    let lines: String = rows.iter().map(line).collect();
    fs::write(page, format!("{PAGE}{lines}"))
        .with_context(|| format!("cannot write {}", page.display()))
}

/// Replaces the inputs in the repository that were found by those that now are the fewest.
/// Inputs that have a name instead of libFuzzer's hash stay.
fn keep(target: &Target) -> anyhow::Result<()> {
    let committed = target.committed();
    let merged = target.folder.join("merged");
    let _ = fs::remove_dir_all(&merged);
    fs::create_dir_all(&merged)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&committed)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            found.push(name);
        } else {
            fs::copy(committed.join(&name), merged.join(&name))?;
        }
    }
    output(
        target
            .command()
            // Without counters: an edge counts once, however often it is taken.
            .args(["-merge=1", "-set_cover_merge=1", "-use_counters=0"])
            .arg("-max_len=4096")
            .arg(&merged)
            .arg(target.folder.join("corpus"))
            .arg(target.folder.join("seeds"))
            .arg(&committed),
    )?;
    for name in found {
        fs::remove_file(committed.join(name))?;
    }
    for entry in fs::read_dir(&merged)? {
        let name = entry?.file_name();
        fs::copy(merged.join(&name), committed.join(&name))?;
    }
    Ok(())
}
