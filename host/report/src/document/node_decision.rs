//! Documents of decisions about nodes: the options, who chose among them and why, and why
//! pods were left over.

use super::removals::{self, removals};
use super::replicas::{answered_by, part_notes};
use super::text::{MAX_NAMES, and_more};
use super::{Block, Cell, Document, Documented, Note, Table, Tone};
use flyball_decision::expander::OptionColumns;
use flyball_decision::part::ExpanderRecord;
use flyball_decision::text::counted;
use flyball_nodes::record::{
    NodeDecisionRecord, NodeVerdict, OrderOutcome, Pending, PodList, Remaining, Round,
    SkippedGroup, listed,
};

/// [`Document::about`] of decisions about nodes.
pub const ABOUT_NODES: &str = "nodes";

impl Documented for NodeDecisionRecord {
    fn document(&self) -> Document {
        let (result, tone) = result(self);
        let mut blocks: Vec<Block> = Vec::new();
        if self.scale_down.is_none() || self.pending != Pending::default() {
            blocks.push(Note::plain(0, pending(self)).into());
        }
        for upcoming in &self.upcoming {
            let text = format!(
                "on the way: {} of {}",
                counted(upcoming.nodes, "node"),
                upcoming.group
            );
            blocks.push(Note::plain(0, text).into());
        }
        blocks.extend(self.rounds.iter().flat_map(round));
        blocks.extend(order_notes(self).map(Block::Note));
        blocks.extend(self.skipped.iter().map(skipped).map(Block::Note));
        blocks.extend(self.remaining.iter().flat_map(remaining).map(Block::Note));
        blocks.extend(self.scale_down.iter().flat_map(removals));
        for incident in &self.incidents {
            let note = Note::about(0, format!("{}:", incident.code), &incident.message);
            blocks.push(note.in_tone(Tone::Bad).into());
        }
        Document {
            at: self.at,
            about: ABOUT_NODES.to_owned(),
            result,
            tone,
            code: match &*self.verdict.reason {
                "" => removals::SCALE_DOWN.to_owned(),
                reason => reason.to_owned(),
            },
            because: because(self),
            blocks,
        }
    }
}

/// Returns what was ordered and removed.
fn result(record: &NodeDecisionRecord) -> (String, Tone) {
    let removed = record.scale_down.as_ref().and_then(removals::result);
    match (removed, ordered(record)) {
        (None, ordered) => ordered,
        (Some(removed), _) if record.verdict.orders.is_empty() => removed,
        (Some((removed, tone)), (ordered, of_orders)) => {
            let tone = if tone == Tone::Good { tone } else { of_orders };
            (format!("{ordered}; {removed}"), tone)
        }
    }
}

/// Returns the orders, with the number of those that the cloud did not accept.
fn ordered(record: &NodeDecisionRecord) -> (String, Tone) {
    let orders = &record.verdict.orders;
    let outcomes = record.outcomes.iter();
    let ordered = outcomes.filter(|outcome| **outcome == OrderOutcome::Ordered);
    match (ordered.count(), orders.len()) {
        (_, 0) => ("nothing ordered".to_owned(), Tone::Plain),
        (0, _) => (format!("{}, not ordered", listed(orders)), Tone::Plain),
        (ordered, all) if ordered < all => {
            let refused = all - ordered;
            let result = format!("{}, {refused} of {all} not ordered", listed(orders));
            (result, Tone::Good)
        }
        _ => (listed(orders), Tone::Good),
    }
}

/// Returns the reason without the orders, which the result lists.
fn because(record: &NodeDecisionRecord) -> String {
    let NodeVerdict {
        orders, message, ..
    } = &record.verdict;
    let sentence = message.strip_suffix(&format!(": {}", listed(orders)));
    sentence.unwrap_or(message).to_owned()
}

fn order_notes(record: &NodeDecisionRecord) -> impl Iterator<Item = Note> {
    let orders = record.verdict.orders.iter().enumerate();
    orders.map(|(index, order)| {
        let (tone, outcome) = match record.outcomes.get(index) {
            Some(OrderOutcome::Ordered) => (Tone::Good, "ordered".to_owned()),
            Some(OrderOutcome::Failed { class, message }) => {
                (Tone::Bad, format!("{class}: {message}"))
            }
            None => (Tone::Warning, "not ordered".to_owned()),
        };
        Note::about(0, format!("order {order}:"), outcome).in_tone(tone)
    })
}

fn pending(record: &NodeDecisionRecord) -> String {
    let pending = &record.pending;
    format!(
        "pods without a node: {}, of which {} fit on nodes that are there or on their way; \
         nodes were sought for {}",
        pending.unschedulable, pending.fit, pending.sought
    )
}

/// Returns the blocks of a choice: what was chosen, the options with the result of each
/// expander, the expanders' reasons, and what the guardrails changed.
#[must_use]
pub fn round(round: &Round) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(domain) = &round.domain {
        let text = format!("Which group stands for {domain}:");
        blocks.push(Note::plain(0, text).into());
    }
    let choice = &round.choice;
    let chosen = Note::about(0, format!("{}:", choice.reason), &choice.message);
    blocks.push(chosen.into());
    blocks.push(Block::Table(options(round)));
    for part in &round.expanders {
        let said = |part: &ExpanderRecord, answer: &_| vec![expander_note(part, answer)];
        blocks.extend(part_notes(part, 1, &said).into_iter().map(Block::Note));
    }
    if !round.helps_in.is_empty() {
        let zones = round.helps_in.join(", ");
        let text = format!("one node at a time: it helps in zone {zones}, and the cloud chooses");
        blocks.push(Note::plain(1, text).into());
    }
    for step in &round.steps {
        let text = format!("{} → {} nodes: {}", step.from, step.to, step.message);
        let note = Note::about(1, format!("{}:", step.guardrail), text);
        blocks.push(note.in_tone(Tone::Warning).into());
    }
    if round.helped.count > 0 {
        blocks.push(Note::plain(1, format!("helps {}", pods(&round.helped))).into());
    }
    blocks
}

fn expander_note(
    part: &ExpanderRecord,
    answer: &flyball_decision::expander::ExpanderRanking,
) -> Note {
    let reason = &answer.reason;
    let text = match &*reason.sentence {
        "" => reason.code.clone(),
        sentence => format!("{} ({})", sentence, reason.code),
    };
    Note::about(1, format!("{}:", answered_by(part)), text)
}

/// Returns the options of a choice, one row each.
fn options(round: &Round) -> Table {
    let options = &round.input.options;
    let fixed = [
        "",
        "node group",
        "size",
        "nodes",
        "pods",
        "cpu used",
        "memory used",
        "price per hour",
    ];
    let names = round.expanders.iter().map(|part| part.name.to_string());
    Table {
        headings: fixed.map(str::to_owned).into_iter().chain(names).collect(),
        numbers: 2,
        rows: (0..options.len()).map(|row| cells(round, row)).collect(),
    }
}

fn cells(round: &Round, row: usize) -> Vec<Cell> {
    let options = &round.input.options;
    let chosen = round.choice.row == u32::try_from(row).ok();
    let (tone, mark) = match chosen {
        true => (Tone::Good, "→"),
        false => (Tone::Plain, ""),
    };
    let figure = |column: &[u32]| column.get(row).copied().unwrap_or_default();
    let nodes = figure(&options.node_count);
    let used = |requested: &[i64], capacity: &[i64]| {
        let capacity = capacity.get(row).copied().unwrap_or_default();
        let requested = requested.get(row).copied().unwrap_or_default();
        match capacity.saturating_mul(i64::from(nodes)) {
            all if all > 0 => format!("{:.0}%", 100.0 * requested as f64 / all as f64),
            _ => "–".to_owned(),
        }
    };
    let price = options.node_price.get(row).copied().flatten();
    let price = price.map(|price| format!("{:.4}", price * f64::from(nodes)));
    let size = (figure(&options.current_size), figure(&options.max_size));
    let mut cells = vec![Cell::new(tone, mark), Cell::new(tone, label(options, row))];
    cells.extend(
        [
            format!("{} (max {})", size.0, size.1),
            format!("+{nodes}"),
            figure(&options.pod_count).to_string(),
            used(&options.requested_cpu, &options.capacity_cpu),
            used(&options.requested_memory, &options.capacity_memory),
            price.unwrap_or_else(|| "–".to_owned()),
        ]
        .map(|text| Cell::new(Tone::Plain, text)),
    );
    cells.extend(round.expanders.iter().map(|part| made_of(part, row)));
    cells
}

/// Returns the groups of an option. If there are several, each has its nodes: `a +2, b
/// +1`.
fn label(options: &OptionColumns, row: usize) -> String {
    match options.parts(row).as_slice() {
        [(only, _)] => only.to_string(),
        parts => {
            let parts = parts.iter();
            let parts: Vec<String> = parts
                .map(|(name, nodes)| format!("{name} +{nodes}"))
                .collect();
            parts.join(", ")
        }
    }
}

/// Returns the result of an expander for an option: its score, or whether the expander
/// kept it.
fn made_of(part: &ExpanderRecord, row: usize) -> Cell {
    let Some(at) = place(part, row) else {
        return Cell::new(Tone::Dim, "not asked");
    };
    let Ok(ranking) = &part.answer else {
        return Cell::new(Tone::Bad, "failed");
    };
    let kept = u32::try_from(at).is_ok_and(|at| ranking.best.contains(&at));
    let (tone, without_score) = match kept {
        true => (Tone::Good, "kept"),
        false => (Tone::Plain, "dropped"),
    };
    match score(part, row) {
        Some(score) => Cell::new(tone, format!("{score:.4}")),
        None => Cell::new(tone, without_score),
    }
}

/// Returns the score that an expander gave the option in this row of the input.
fn score(part: &ExpanderRecord, row: usize) -> Option<f64> {
    let ranking = part.answer.as_ref().ok()?;
    ranking.scores.get(place(part, row)?).copied().flatten()
}

/// Returns the row of an option among those that the expander was asked about.
fn place(part: &ExpanderRecord, row: usize) -> Option<usize> {
    let row = u32::try_from(row).ok()?;
    part.own.iter().position(|asked| *asked == row)
}

/// Returns the line about a group that was no option.
#[must_use]
pub fn skipped(skipped: &SkippedGroup) -> Note {
    let SkippedGroup { group, message, .. } = skipped;
    Note::about(0, format!("{group} was no option:"), message)
}

/// Returns the lines about pods that fit nowhere, and why.
#[must_use]
pub fn remaining(remaining: &Remaining) -> Vec<Note> {
    let pods = pods(&remaining.pods);
    let mut notes = vec![Note::about(0, "fits nowhere:", pods).in_tone(Tone::Warning)];
    let reasons = remaining.reasons.iter();
    notes.extend(reasons.map(|reason| Note::plain(1, reason.to_string())));
    notes
}

/// Lists some pods by name and the number of the others, such as `default/a, default/b
/// and 3 more`.
fn pods(list: &PodList) -> String {
    let names = list.names.iter().take(MAX_NAMES);
    let names: Vec<String> = names
        .map(|key| format!("{}/{}", key.namespace, key.name))
        .collect();
    let more = (list.count as usize).saturating_sub(names.len());
    and_more(&names, more)
}
