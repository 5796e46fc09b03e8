//! Asks the chain of expanders. Each narrows down the options that the one before left.
//! If the chain leaves several, the choice among them is random.

use super::options::{ExpanderChoice, NodeOptions};
use super::record::Choice;
use flyball_decision::ask::{Asker, Named, Panel, UnaskedState};
use flyball_decision::context::GrantedInput;
use flyball_decision::event::Event;
use flyball_decision::expander::ExpanderInput;
use flyball_decision::hash::split_mix;
use flyball_decision::memory::PolicyMemories;
use flyball_decision::part::ExpanderRecord;
use flyball_decision::policy::{PolicyEngine, PolicyFailure, WantedInput};
use flyball_decision::question::{ExpanderQuestion, Question as _};
use flyball_decision::text;
use flyball_decision::time::Timestamp;

/// The context in which expanders are asked.
#[derive(Clone, Copy)]
pub struct Chooser<'a> {
    /// Time of the decision.
    pub now: Timestamp,
    /// The chain, and what happens if an expander fails.
    pub options: &'a NodeOptions,
    /// Where the expanders are found.
    pub engine: &'a dyn PolicyEngine,
    /// The states of the expanders.
    pub memories: &'a PolicyMemories,
    /// Grants the inputs that expanders want: with a row for each option.
    pub grant: &'a dyn Fn(&WantedInput) -> GrantedInput,
}

/// Result of asking the chain.
#[derive(Clone, Debug)]
pub struct ChainResult {
    /// The expanders asked, in the order of the chain.
    pub expanders: Vec<ExpanderRecord>,
    /// States of the expanders that were not asked.
    pub unasked: Vec<UnaskedState>,
    /// What was chosen.
    pub choice: Choice,
    /// Events about expanders that failed, were swapped or rolled back.
    pub events: Vec<Event>,
}

/// Asks the whole chain about some options.
pub fn choose(chooser: &Chooser<'_>, input: &mut ExpanderInput, seed: u64) -> ChainResult {
    let asker = Asker {
        now: chooser.now,
        seed,
        engine: chooser.engine,
        fallback: chooser.options.fallback,
        memories: chooser.memories,
        grant: chooser.grant,
    };
    let chain = chooser.options.expanders.iter().map(named);
    let mut panel = Panel::<ExpanderQuestion>::new(asker, chain);
    let (expanders, choice) = walk_chain(input, seed, |place, rows, input| {
        panel.ask(place, input, |_| rows.to_vec())
    });
    ChainResult {
        unasked: panel.unasked(expanders.len()),
        expanders,
        choice,
        events: panel.events,
    }
}

fn named(expander: &ExpanderChoice) -> Named<'_> {
    Named {
        name: &expander.name,
        configuration: &expander.configuration,
    }
}

/// Walks down a chain of expanders. `ask` asks the expander at a position about some rows
/// and returns its part, or `None` at the chain's end.
pub(super) fn walk_chain(
    input: &mut ExpanderInput,
    seed: u64,
    mut ask: impl FnMut(usize, &[u32], &mut ExpanderInput) -> Option<ExpanderRecord>,
) -> (Vec<ExpanderRecord>, Choice) {
    let count = u32::try_from(input.options.len()).unwrap_or(u32::MAX);
    let mut rows: Vec<u32> = (0..count).collect();
    let mut records: Vec<ExpanderRecord> = Vec::new();
    while let Some(record) = ask(records.len(), &rows, input) {
        let narrowed = match &record.answer {
            Ok(ranking) => Ok(narrowed(&rows, &ranking.best)),
            Err(failure) => Err(held(failure)),
        };
        records.push(record);
        match narrowed {
            Ok(left) => rows = left,
            Err(held) => return (records, held),
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
        message: text::message(format!("{}: {}", ExpanderQuestion::HELD, failure.message())),
    }
}

fn last_choice(
    input: &ExpanderInput,
    records: &[ExpanderRecord],
    rows: &[u32],
    seed: u64,
) -> Choice {
    let reason = records.last().and_then(|record| {
        let ranking = record.answer.as_ref().ok()?;
        Some((&record.name, &ranking.reason))
    });
    let left = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let picked = u64::from(left)
        .checked_sub(1)
        .map(|_| split_mix(seed) % u64::from(left));
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
        message: text::message(message),
    }
}
