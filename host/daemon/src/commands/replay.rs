//! `flyball replay`.

mod replayed;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use flyball_decision::policy::{Budget, Policy};
use flyball_decision::replay::{AskedPolicy, Replay, replay};
use flyball_report::record::Record;
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, digest};

use self::replayed::ReplayedRecord;
use super::Exit;
use crate::cli::{Format, ReplayArgs};
use crate::output::{self, BAD, DIM, GOOD, Out, plain, styled};
use crate::records::Records;
use crate::wiring::StateDir;
use crate::{policies, wiring};

/// Maximum number of differences that are printed.
const MAX_SHOWN: u64 = 20;

pub fn run(args: &ReplayArgs) -> anyhow::Result<Exit> {
    let policies = Policies::of(args)?;
    let mut counts = ReplayCounts::default();
    let mut out = output::out();
    let mut records = Records::open(&args.records)?;
    for record in records.by_ref() {
        match record? {
            Record::Replicas(record) => {
                let result = replay(&*record, |policy| policies.resolve(policy));
                show(&mut out, &*record, &result, &mut counts, args.output.format)?;
            }
            Record::Nodes(record) => {
                let result = replay(&*record, |policy| policies.resolve(policy));
                show(&mut out, &*record, &result, &mut counts, args.output.format)?;
            }
        }
    }
    counts.unreadable = records.unreadable();
    policies.warn_unused();
    if args.output.format == Format::Text {
        print_tally(&mut out, &counts)?;
    }
    Ok(
        if counts.differ + counts.unavailable + counts.unreadable > 0 {
            Exit::Different
        } else {
            Exit::Success
        },
    )
}

/// Counts and prints the result of a replay.
fn show<R: ReplayedRecord>(
    out: &mut Out,
    record: &R,
    result: &Replay<R::Verdict>,
    counts: &mut ReplayCounts,
    format: Format,
) -> anyhow::Result<()> {
    counts.add(result);
    match format {
        Format::Json => {
            let replayed = replayed::to_json(record, result);
            writeln!(out, "{}", output::json_line(&replayed))?;
        }
        Format::Text if counts.differ <= MAX_SHOWN => replayed::print(out, record, result)?,
        Format::Text => {}
    }
    Ok(())
}

/// Finds the policies of records.
struct Policies {
    engine: Engine,
    replacement: Option<Replacement>,
    /// Components by digest.
    by_digest: BTreeMap<String, policies::Source>,
    compiled: RefCell<BTreeMap<Key, Option<Arc<CompiledPolicy>>>>,
}

/// A policy that is asked instead of all others of its kinds, where it answers the
/// question.
struct Replacement {
    digest: String,
    source: policies::Source,
    compiled: CompiledPolicy,
    /// Whether it was asked.
    used: Cell<bool>,
}

/// A component and its memory budget, which it is compiled with.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    digest: String,
    fuel: (u64, u64),
    memory_bytes: u64,
}

impl Policies {
    fn of(args: &ReplayArgs) -> anyhow::Result<Self> {
        let mut sources: Vec<policies::Source> = policies::builtins().collect();
        for file in wiring::policy_files(args.policies.policies_dir.as_deref())? {
            sources.push(policies::read(&file)?);
        }
        for file in last_good(args) {
            sources.extend(policies::read(&file));
        }
        let with_digest = |source: policies::Source| (digest(&source.component), source);
        let engine = wiring::engine(args.state.state_dir.as_deref(), &args.compilation)?;
        let replacement = args.policy.as_deref();
        let replacement = replacement.map(|policy| Replacement::load(&engine, policy));
        Ok(Self {
            engine,
            replacement: replacement.transpose()?,
            by_digest: sources.into_iter().map(with_digest).collect(),
            compiled: RefCell::default(),
        })
    }

    /// Returns the policy that a record names, or the one asked in its place.
    fn resolve(&self, asked: AskedPolicy<'_>) -> Option<Arc<dyn Policy>> {
        let replacement = self.replacement.as_ref();
        let replacement = replacement.filter(|replacement| replacement.answers(asked.interface));
        // The record's own policy is compiled under the record's name, whatever its file
        // is called.
        let (name, digest, source) = match (replacement, asked.version) {
            (Some(replacement), _) => {
                replacement.used.set(true);
                let source = &replacement.source;
                (source.name.as_str(), replacement.digest.as_str(), source)
            }
            (None, Some(version)) => {
                let digest = &*version.digest;
                (&**asked.name, digest, self.by_digest.get(digest)?)
            }
            (None, None) => return None,
        };
        let budget = asked.budget.unwrap_or(DEFAULT_BUDGET);
        let key = Key {
            digest: digest.to_owned(),
            fuel: (budget.fuel_base, budget.fuel_per_row),
            memory_bytes: budget.memory_bytes,
        };
        let mut compiled = self.compiled.borrow_mut();
        let found = compiled
            .entry(key)
            .or_insert_with(|| self.compile(name, source, budget));
        Some(found.clone()?)
    }

    /// Warns if the policy that was given was never asked.
    fn warn_unused(&self) {
        if let Some(Replacement { compiled, used, .. }) = &self.replacement
            && !used.get()
        {
            let kinds = compiled.description().kinds.join(" and ");
            tracing::warn!("--policy was not asked: no record is of a policy of kind {kinds}");
        }
    }

    fn compile(
        &self,
        name: &str,
        source: &policies::Source,
        budget: Budget,
    ) -> Option<Arc<CompiledPolicy>> {
        let loaded = CompiledPolicy::load(&self.engine, name, &source.component, budget);
        loaded
            .map_err(|error| tracing::error!(policy = name, %error, "cannot be used"))
            .ok()
            .map(Arc::new)
    }
}

impl Replacement {
    fn load(engine: &Engine, policy: &str) -> anyhow::Result<Self> {
        let source = policies::find(policy)?;
        let compiled = policies::compile(engine, &source, DEFAULT_BUDGET)?;
        Ok(Self {
            digest: digest(&source.component),
            source,
            compiled,
            used: Cell::new(false),
        })
    }

    fn answers(&self, interface: &str) -> bool {
        self.compiled.answers(interface)
    }
}

/// Returns the last good copies that daemons keep.
fn last_good(args: &ReplayArgs) -> Vec<PathBuf> {
    let state = StateDir::resolve(args.state.state_dir.as_deref());
    state.map_or_else(Vec::new, |state| state.all_last_good())
}

#[derive(Default)]
struct ReplayCounts {
    same: u64,
    differ: u64,
    unavailable: u64,
    given: u64,
    nothing_asked: u64,
    /// Lines that are not records.
    unreadable: u64,
    /// Number of records that each missing policy was needed for.
    missing: BTreeMap<String, u64>,
}

impl ReplayCounts {
    fn add_missing(&mut self, name: &str, digest: &str) {
        self.unavailable += 1;
        *self.missing.entry(format!("{name} {digest}")).or_default() += 1;
    }

    fn add<V>(&mut self, result: &Replay<V>) {
        match result {
            Replay::Same => self.same += 1,
            Replay::Differs { .. }
            | Replay::TakenAsGiven {
                differs: Some(_), ..
            } => self.differ += 1,
            Replay::NothingAsked => self.nothing_asked += 1,
            Replay::TakenAsGiven { differs: None, .. } => self.given += 1,
            Replay::PolicyUnavailable { name, digest } => self.add_missing(name, digest),
        }
    }
}

fn print_tally(out: &mut Out, counts: &ReplayCounts) -> anyhow::Result<()> {
    if counts.differ > MAX_SHOWN {
        let more = format!(
            "… and {} more differences: -o json has them all",
            counts.differ - MAX_SHOWN
        );
        writeln!(out, "{}", styled(DIM, more))?;
    }
    for (policy, count) in &counts.missing {
        let records = output::count(*count);
        writeln!(
            out,
            "{} {}, which decided {records} records",
            styled(BAD, "not found:"),
            plain(policy)
        )?;
    }
    let same = format!("{} same", output::count(counts.same));
    let differ = format!("{} different", output::count(counts.differ));
    let differ = if counts.differ > 0 {
        styled(BAD, differ)
    } else {
        differ
    };
    write!(out, "{}, {differ}", styled(GOOD, same))?;
    for (count, what) in [
        (counts.unavailable, "without their policy"),
        (counts.given, "with an outcome from outside, taken as given"),
        (counts.nothing_asked, "where nothing was decided"),
        (counts.unreadable, "unreadable"),
    ] {
        if count > 0 {
            write!(out, ", {} {what}", output::count(count))?;
        }
    }
    writeln!(out)?;
    Ok(())
}
