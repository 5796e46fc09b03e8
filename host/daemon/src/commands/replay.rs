//! `flyball replay`.

mod shown;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use flyball_core::policy::{
    Budget, ExpanderPolicy, Policy as _, PolicyVersion, ReplicaPolicy, kind,
};
use flyball_core::question::{ExpanderRecord, PolicyRecord};
use flyball_core::recorder::Record;
use flyball_core::replay::{Replay, replay};
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, digest};

use self::shown::Shown;
use super::Exit;
use crate::cli::{Format, ReplayArgs};
use crate::output::{self, BAD, DIM, GOOD, Out, styled};
use crate::records::Records;
use crate::wiring::StateDir;
use crate::{policies, wiring};

/// Differences that are printed one by one.
const MOST_SHOWN: u64 = 20;

pub fn run(args: &ReplayArgs) -> anyhow::Result<Exit> {
    let policies = Policies::of(args)?;
    let mut tally = Tally::default();
    let mut out = output::out();
    let mut records = Records::open(&args.records)?;
    for record in records.by_ref() {
        match record? {
            Record::Replicas(record) => {
                let result = replay(&*record, |policy| policies.replica(policy));
                show(&mut out, &*record, &result, &mut tally, args.output.format)?;
            }
            Record::Nodes(record) => {
                let result = replay(&*record, |policy| policies.expander(policy));
                show(&mut out, &*record, &result, &mut tally, args.output.format)?;
            }
        }
    }
    tally.unreadable = records.unreadable();
    policies.tell_unused();
    if args.output.format == Format::Text {
        print_tally(&mut out, &tally)?;
    }
    Ok(if tally.differ + tally.unavailable + tally.unreadable > 0 {
        Exit::Different
    } else {
        Exit::Success
    })
}

/// Counts what a replay shows, and prints it.
fn show<R: Shown>(
    out: &mut Out,
    record: &R,
    result: &Replay<R::Verdict>,
    tally: &mut Tally,
    format: Format,
) -> anyhow::Result<()> {
    tally.add(result);
    match format {
        Format::Json => writeln!(out, "{}", shown::to_json(record, result))?,
        Format::Text if tally.differ <= MOST_SHOWN => shown::print(out, record, result)?,
        Format::Text => {}
    }
    Ok(())
}

/// Where the policies of records come from.
struct Policies {
    engine: Engine,
    instead: Option<Instead>,
    /// Components by digest.
    by_digest: BTreeMap<String, policies::Source>,
    compiled: RefCell<BTreeMap<Key, Option<Arc<CompiledPolicy>>>>,
}

/// A policy that is asked in place of all others of its kinds.
struct Instead {
    digest: String,
    source: policies::Source,
    kinds: Vec<String>,
    /// Whether it was asked.
    used: Cell<bool>,
}

/// A component, and the budget that decides where it ends.
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
        let instead = args.policy.as_deref();
        let instead = instead.map(|policy| Instead::load(&engine, policy));
        Ok(Self {
            engine,
            instead: instead.transpose()?,
            by_digest: sources.into_iter().map(with_digest).collect(),
            compiled: RefCell::default(),
        })
    }

    fn replica(&self, policy: &PolicyRecord) -> Option<Arc<dyn ReplicaPolicy>> {
        let version = policy.version.as_deref();
        Some(self.resolve(kind::REPLICA, &policy.name, version, policy.budget)?)
    }

    fn expander(&self, policy: &ExpanderRecord) -> Option<Arc<dyn ExpanderPolicy>> {
        let version = policy.version.as_deref();
        Some(self.resolve(kind::EXPANDER, &policy.name, version, policy.budget)?)
    }

    /// The policy that a record speaks of, or the one asked in its place.
    fn resolve(
        &self,
        kind: &str,
        name: &str,
        version: Option<&PolicyVersion>,
        budget: Option<Budget>,
    ) -> Option<Arc<CompiledPolicy>> {
        let instead = self.instead.as_ref();
        let instead = instead.filter(|instead| instead.kinds.iter().any(|one| one == kind));
        // A record's own policy has the record's name, whatever its file is called.
        let (name, digest, source) = match (instead, version) {
            (Some(instead), _) => {
                instead.used.set(true);
                let source = &instead.source;
                (source.name.as_str(), instead.digest.as_str(), source)
            }
            (None, Some(version)) => {
                let digest = &*version.digest;
                (name, digest, self.by_digest.get(digest)?)
            }
            (None, None) => return None,
        };
        let budget = budget.unwrap_or(DEFAULT_BUDGET);
        let key = Key {
            digest: digest.to_owned(),
            fuel: (budget.fuel_base, budget.fuel_per_row),
            memory_bytes: budget.memory_bytes,
        };
        let mut compiled = self.compiled.borrow_mut();
        let found = compiled
            .entry(key)
            .or_insert_with(|| self.compile(name, source, budget));
        found.clone()
    }

    /// Says so if the policy asked for had nothing to say.
    fn tell_unused(&self) {
        if let Some(Instead { kinds, used, .. }) = &self.instead
            && !used.get()
        {
            let kinds = kinds.join(" and ");
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

impl Instead {
    fn load(engine: &Engine, policy: &str) -> anyhow::Result<Self> {
        let source = policies::find(policy)?;
        let compiled = policies::compile(engine, &source, DEFAULT_BUDGET)?;
        Ok(Self {
            digest: digest(&source.component),
            source,
            kinds: compiled.description().kinds.clone(),
            used: Cell::new(false),
        })
    }
}

/// The copies that daemons keep.
fn last_good(args: &ReplayArgs) -> Vec<PathBuf> {
    let state = StateDir::resolve(args.state.state_dir.as_deref());
    state.map_or_else(Vec::new, |state| state.all_last_good())
}

#[derive(Default)]
struct Tally {
    same: u64,
    differ: u64,
    unavailable: u64,
    given: u64,
    nothing_asked: u64,
    /// Lines that are no records.
    unreadable: u64,
    /// How often each policy was missing.
    missing: BTreeMap<String, u64>,
}

impl Tally {
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

fn print_tally(out: &mut Out, tally: &Tally) -> anyhow::Result<()> {
    if tally.differ > MOST_SHOWN {
        let more = format!(
            "… and {} more differences: -o json has them all",
            tally.differ - MOST_SHOWN
        );
        writeln!(out, "{}", styled(DIM, more))?;
    }
    for (policy, count) in &tally.missing {
        let records = output::count(*count);
        writeln!(
            out,
            "{} {policy}, which decided {records} records",
            styled(BAD, "not found:")
        )?;
    }
    let same = format!("{} same", output::count(tally.same));
    let differ = format!("{} different", output::count(tally.differ));
    let differ = if tally.differ > 0 {
        styled(BAD, differ)
    } else {
        differ
    };
    write!(out, "{}, {differ}", styled(GOOD, same))?;
    for (count, what) in [
        (tally.unavailable, "without their policy"),
        (tally.given, "with an outcome from outside, taken as given"),
        (tally.nothing_asked, "where nothing was decided"),
        (tally.unreadable, "unreadable"),
    ] {
        if count > 0 {
            write!(out, ", {} {what}", output::count(count))?;
        }
    }
    writeln!(out)?;
    Ok(())
}
