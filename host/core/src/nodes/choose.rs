//! Asks the expanders: each narrows down the options that the one before left,
//! until one is left, and chance decides among equals. Their answers are input
//! from outside, and checked.

mod instead;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::instead::{ask_predecessors, stand_in, tell_rollback};
use super::expander::{ExpanderInput, ExpanderRanking, OptionColumns};
use super::options::{ExpanderChoice, NodeOptions};
use super::record::{Choice, ExpanderRecord, RankingAnswer};
pub(super) use crate::hash::split_mix as mix;
use crate::policy::{ExpanderPolicy, PolicyEngine, PolicyFailure, PolicyVersion, Usage};
use crate::replica::Context;
use crate::status::Event;
use crate::time::Timestamp;

/// What expanders keep from one decision to the next.
#[derive(Clone, Debug, Default)]
pub struct ExpanderStates {
    states: BTreeMap<Arc<str>, (u32, Arc<str>)>,
    /// The digest of the code that was asked last, by name.
    asked: BTreeMap<Arc<str>, Arc<str>>,
}

impl ExpanderStates {
    /// The state of a policy, if it is of the version that it can read.
    fn recall(&self, name: &str, version: &PolicyVersion) -> Arc<str> {
        match self.states.get(name) {
            Some((state_version, state)) if *state_version == version.state_version => {
                Arc::clone(state)
            }
            _ => Arc::default(),
        }
    }

    /// Keeps what the expanders asked for answered as their new state.
    pub fn commit(&mut self, expanders: &[ExpanderRecord]) {
        for asked in expanders.iter().map(ExpanderRecord::asked) {
            if let Some(version) = &asked.version {
                let digest = Arc::clone(&version.digest);
                self.asked.insert(Arc::clone(&asked.name), digest);
            }
        }
        for record in expanders.iter().filter(|record| record.is_own()) {
            let RankingAnswer::Ranking(ExpanderRanking {
                state: Some(state), ..
            }) = &record.answer
            else {
                continue;
            };
            let Some(version) = &record.version else {
                continue;
            };
            let kept = (version.state_version, Arc::from(state.as_str()));
            self.states.insert(Arc::clone(&record.name), kept);
        }
    }
}

/// The context in which expanders are asked.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Time of the decision.
    pub now: Timestamp,
    /// The chain, and what happens if an expander fails.
    pub options: &'a NodeOptions,
    /// Where the expanders are found.
    pub engine: &'a dyn PolicyEngine,
    /// The states that they kept.
    pub states: &'a ExpanderStates,
}

/// Asks the whole chain about some options. The events tell which expanders failed.
pub fn choose(
    asker: &Asker<'_>,
    input: &ExpanderInput,
    seed: u64,
) -> (Vec<ExpanderRecord>, Choice, Vec<Event>) {
    let mut events = Vec::new();
    let chain = &asker.options.expanders;
    let ask = |position: usize, rows: &[u32]| {
        let expander = chain.get(position)?;
        Some(ask_expander(
            asker,
            expander,
            input,
            rows,
            seed,
            &mut events,
        ))
    };
    let (records, choice) = walk(input, seed, ask);
    (records, choice, events)
}

/// Walks down a chain of expanders: `ask` gives the part of the one at a position
/// when asked about these rows, or none at the chain's end.
pub(super) fn walk(
    input: &ExpanderInput,
    seed: u64,
    mut ask: impl FnMut(usize, &[u32]) -> Option<ExpanderRecord>,
) -> (Vec<ExpanderRecord>, Choice) {
    let count = u32::try_from(input.options.len()).unwrap_or(u32::MAX);
    let mut rows: Vec<u32> = (0..count).collect();
    let mut records: Vec<ExpanderRecord> = Vec::new();
    while let Some(record) = ask(records.len(), &rows) {
        let answer = record.answer.clone();
        records.push(record);
        match answer {
            RankingAnswer::Failure(failure) => return (records, held(&failure)),
            RankingAnswer::Ranking(ranking) => rows = narrowed(&rows, &ranking.best),
        }
        if rows.len() <= 1 {
            break;
        }
    }
    let choice = last_choice(input, &records, &rows, seed);
    (records, choice)
}

fn narrowed(rows: &[u32], best: &[u32]) -> Vec<u32> {
    let mut narrowed: Vec<u32> = best
        .iter()
        .filter_map(|&row| rows.get(row as usize).copied())
        .collect();
    narrowed.sort_unstable();
    narrowed
}

fn held(failure: &PolicyFailure) -> Choice {
    Choice {
        row: None,
        left: 0,
        reason: failure.code().to_owned(),
        message: format!("no group grows: {}", failure.message()),
    }
}

fn last_choice(
    input: &ExpanderInput,
    records: &[ExpanderRecord],
    rows: &[u32],
    seed: u64,
) -> Choice {
    let reason = records.last().and_then(|record| match &record.answer {
        RankingAnswer::Ranking(ranking) => Some((&record.name, &ranking.reason)),
        RankingAnswer::Failure(_) => None,
    });
    let left = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let picked = u64::from(left)
        .checked_sub(1)
        .map(|_| mix(seed) % u64::from(left));
    let row = picked
        .and_then(|at| rows.get(usize::try_from(at).ok()?))
        .copied();
    let name = row.map(|row| input.options.label(row as usize));
    let said = reason.map(|(name, reason)| format!("{name}: {}", reason.sentence));
    let message = match (name, said) {
        (None, said) => said.unwrap_or_else(|| "there is no option".to_owned()),
        (Some(group), Some(said)) if left > 1 => {
            format!("{group}, by chance among {left} equally good options; {said}")
        }
        (Some(group), None) => format!("{group}, by chance among {left} options"),
        (Some(_), Some(said)) => said,
    };
    Choice {
        row,
        left,
        reason: reason
            .map_or("Random", |(_, reason)| &reason.code)
            .to_owned(),
        message,
    }
}

fn ask_expander(
    asker: &Asker<'_>,
    expander: &ExpanderChoice,
    input: &ExpanderInput,
    rows: &[u32],
    seed: u64,
    events: &mut Vec<Event>,
) -> ExpanderRecord {
    let context = Context {
        now: asker.now,
        seed,
        configuration: Arc::clone(&expander.configuration),
        ..Context::default()
    };
    let record = match asker.engine.expander_policy(&expander.name) {
        Ok(policy) => {
            tell_rollback(asker, expander, &*policy, events);
            let ask = |policy: &dyn ExpanderPolicy| {
                let state = asker.states.recall(&expander.name, policy.version());
                let context = Context {
                    state,
                    ..context.clone()
                };
                consult(&expander.name, policy, context, input, rows)
            };
            let record = ask(&*policy);
            ask_predecessors(record, &policy.predecessors(), ask, events)
        }
        Err(failure) => unanswered(&expander.name, context, rows, failure),
    };
    match &record.answer {
        RankingAnswer::Ranking(_) => record,
        RankingAnswer::Failure(failure) => {
            let failure = failure.clone();
            stand_in(asker, record, &failure, input, events)
        }
    }
}

/// Asks one version of an expander about some rows.
pub(super) fn consult(
    name: &Arc<str>,
    policy: &dyn ExpanderPolicy,
    context: Context,
    input: &ExpanderInput,
    rows: &[u32],
) -> ExpanderRecord {
    let narrowed = ExpanderInput {
        options: selected(&input.options, rows),
        cluster_node_count: input.cluster_node_count,
    };
    let outcome = policy.rank(&context, &narrowed);
    let answer = outcome
        .answer
        .and_then(|answer| validated(answer, rows.len()));
    ExpanderRecord {
        name: Arc::clone(name),
        version: Some(Arc::clone(policy.version())),
        failed: None,
        previous: false,
        rows: rows.to_vec(),
        context,
        budget: Some(policy.budget()),
        usage: outcome.usage,
        answer: answer.map_or_else(RankingAnswer::Failure, RankingAnswer::Ranking),
        log: outcome.log,
    }
}

fn unanswered(
    name: &Arc<str>,
    context: Context,
    rows: &[u32],
    failure: PolicyFailure,
) -> ExpanderRecord {
    ExpanderRecord {
        name: Arc::clone(name),
        version: None,
        failed: None,
        previous: false,
        rows: rows.to_vec(),
        context,
        budget: None,
        usage: Usage::default(),
        answer: RankingAnswer::Failure(failure),
        log: Vec::new(),
    }
}

/// Whatever the engine makes of a contract: rows that are not there or are named
/// twice are no answer, nor are scores for other options or beyond all numbers.
fn validated(answer: ExpanderRanking, options: usize) -> Result<ExpanderRanking, PolicyFailure> {
    let invalid = |message: String| Err(PolicyFailure::InvalidAnswer(message));
    let mut seen = vec![false; options];
    for &row in &answer.best {
        match seen.get_mut(row as usize) {
            None => return invalid(format!("option {row} is not there: there are {options}")),
            Some(true) => return invalid(format!("option {row} is named twice")),
            Some(seen) => *seen = true,
        }
    }
    if !answer.scores.is_empty() && answer.scores.len() != options {
        let scores = answer.scores.len();
        return invalid(format!("{scores} scores for {options} options"));
    }
    if let Some(row) = answer
        .scores
        .iter()
        .position(|score| score.is_some_and(f64::is_nan))
    {
        return invalid(format!("the score of option {row} is not a number"));
    }
    Ok(answer)
}

/// These rows of the columns; all of them: the columns themselves.
pub(crate) fn selected(options: &Arc<OptionColumns>, rows: &[u32]) -> Arc<OptionColumns> {
    if rows.len() == options.len() {
        return Arc::clone(options);
    }
    fn of<T: Clone>(column: &[T], rows: &[u32]) -> Vec<T> {
        rows.iter()
            .filter_map(|&row| column.get(row as usize).cloned())
            .collect()
    }
    let position = |option: &u32| rows.iter().position(|row| row == option);
    let parts = options.part_option.iter().enumerate();
    let mut parts: Vec<(usize, usize)> = parts
        .filter_map(|(at, option)| Some((position(option)?, at)))
        .collect();
    parts.sort_unstable();
    let part = |at: &(usize, usize)| u32::try_from(at.1).unwrap_or(u32::MAX);
    let part_rows: Vec<u32> = parts.iter().map(part).collect();
    let part_option = parts
        .iter()
        .map(|(row, _)| u32::try_from(*row).unwrap_or(u32::MAX));
    Arc::new(OptionColumns {
        part_option: part_option.collect(),
        part_node_group: of(&options.part_node_group, &part_rows),
        part_node_count: of(&options.part_node_count, &part_rows),
        node_group: of(&options.node_group, rows),
        state: of(&options.state, rows),
        node_count: of(&options.node_count, rows),
        pod_count: of(&options.pod_count, rows),
        requested_cpu: of(&options.requested_cpu, rows),
        requested_memory: of(&options.requested_memory, rows),
        requested_gpu: of(&options.requested_gpu, rows),
        capacity_cpu: of(&options.capacity_cpu, rows),
        capacity_memory: of(&options.capacity_memory, rows),
        capacity_gpu: of(&options.capacity_gpu, rows),
        allocatable_cpu: of(&options.allocatable_cpu, rows),
        allocatable_memory: of(&options.allocatable_memory, rows),
        allocatable_gpu: of(&options.allocatable_gpu, rows),
        node_price: of(&options.node_price, rows),
        pod_price: of(&options.pod_price, rows),
        current_size: of(&options.current_size, rows),
        min_size: of(&options.min_size, rows),
        max_size: of(&options.max_size, rows),
    })
}
