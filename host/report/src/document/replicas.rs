//! Documents of decisions about replicas: the result, the answers of policies and
//! metrics, and what the guardrails changed.

use std::fmt::Write as _;

use super::arithmetic::arithmetic;
use super::{Block, Document, Documented, Note, Tone};
use flyball_decision::event::Event;
use flyball_decision::part::Part;
use flyball_decision::part::PolicyRecord;
use flyball_decision::question::Question;
use flyball_decision::replica::{Proposal, ReplicaDecision};
use flyball_replicas::record::{DecisionRecord, Outcome};
use flyball_replicas::spec::Mode;
use flyball_replicas::status::{Condition, condition, event};

impl Documented for DecisionRecord {
    fn document(&self) -> Document {
        let object = &self.object;
        let mode = match self.mode {
            Mode::Active => "",
            Mode::Observe => " [Observe]",
        };
        let mut blocks = Vec::new();
        blocks.extend(put_off(self).map(Block::Note));
        for policy in &self.policies {
            blocks.extend(policy_notes(self, policy).map(Block::Note));
        }
        let steps = self.guard_steps.iter().filter(|step| step.changed());
        blocks.extend(steps.map(|step| {
            let text = format!(
                "{} → {} ({}: {})",
                step.before, step.after, step.reason, step.message
            );
            let subject = format!("guardrail {}:", step.guardrail);
            Note::about(0, subject, text).in_tone(Tone::Warning).into()
        }));
        Document {
            at: self.at,
            about: format!("{}/{}{mode}", object.namespace, object.name),
            result: result(self),
            tone: tone(self),
            code: self.verdict.reason.clone(),
            because: self.verdict.message.clone(),
            blocks,
        }
    }
}

/// Returns the line about a decision that was put off. It is a failure if the decision was
/// late.
fn put_off(record: &DecisionRecord) -> Option<Note> {
    let since = record.put_off_since?;
    let is_late = |event: &Event| event.reason == event::DECISION_PUT_OFF;
    let (tone, text) = if record.events.iter().any(is_late) {
        (Tone::Failing, String::new())
    } else {
        (Tone::Plain, format!(" (due at {})", since.to_rfc3339()))
    };
    let text = format!(
        "other objects of namespace {} had used up the fuel, rows or bytes of answers of earlier ticks{text}",
        record.object.namespace
    );
    Some(Note::about(0, "put off:".to_owned(), text).in_tone(tone))
}

fn result(record: &DecisionRecord) -> String {
    let verdict = &record.verdict;
    let replicas = match (verdict.from, verdict.to) {
        (None, _) => "replicas not known".to_owned(),
        (Some(from), None) => format!("held at {from}"),
        (Some(from), Some(to)) if from == to => format!("stays at {from}"),
        (Some(from), Some(to)) => format!("{from} → {to}"),
    };
    let outcome = match &record.outcome {
        Outcome::Unchanged => String::new(),
        Outcome::Observed => ", not written (mode Observe)".to_owned(),
        Outcome::Scaled => ", scaled".to_owned(),
        Outcome::Failed(error) => format!(", the write failed: {error}"),
    };
    replicas + &outcome
}

fn tone(record: &DecisionRecord) -> Tone {
    let has_failure = record.policies.iter().any(|part| part.failure().is_some());
    match record.outcome {
        Outcome::Scaled | Outcome::Observed => Tone::Good,
        Outcome::Failed(_) => Tone::Bad,
        // A policy that fails has a note of its own.
        Outcome::Unchanged if !has_failure && is_held_by_fault(record) => Tone::Failing,
        Outcome::Unchanged => Tone::Plain,
    }
}

/// Returns whether the object is held because of a fault that its conditions name, not
/// because a policy wants so or scaling is disabled.
fn is_held_by_fault(record: &DecisionRecord) -> bool {
    let decides = [condition::ABLE_TO_SCALE, condition::SCALING_ACTIVE];
    let is_fault = |condition: &Condition| {
        *condition.status == *"False"
            && decides.contains(&&*condition.kind)
            && *condition.reason != *condition::SCALING_DISABLED
    };
    record.verdict.to.is_none() && record.conditions.iter().any(is_fault)
}

/// Returns the policy version that answered a part, such as `hpa 1.0.0 (1a2b3c4d5e6f)`;
/// the policy's name if none did.
#[must_use]
pub fn answered_by<Q: Question>(part: &Part<Q>) -> String {
    match &part.version {
        Some(version) => format!(
            "{} {} ({})",
            version.name,
            version.version,
            version.short_digest()
        ),
        None => part.name.to_string(),
    }
}

/// Makes lines of an answer.
pub(super) type Said<'a, Q> = dyn Fn(&Part<Q>, &<Q as Question>::Answer) -> Vec<Note> + 'a;

/// Returns the lines that parts of every kind have: a version that failed and what took
/// its place, failures, and logged lines. `said` makes the lines of an answer.
pub(super) fn part_notes<Q: Question>(
    part: &Part<Q>,
    level: usize,
    said: &Said<'_, Q>,
) -> Vec<Note> {
    let (noun, name) = (Q::NOUN, answered_by(part));
    let mut notes = Vec::new();
    if let Some(failed) = &part.failed {
        notes.extend(part_notes(failed, level, said));
        let instead = if part.previous {
            format!("the version before, {name}, goes on deciding")
        } else {
            format!("{noun} {name} stands in for {}", failed.name)
        };
        notes.push(Note::plain(level, instead).in_tone(Tone::Failing));
    }
    match &part.answer {
        Err(failure) => {
            let note = Note::about(level, format!("{noun} {name}:"), failure.to_string());
            notes.push(note.in_tone(Tone::Failing));
        }
        Ok(answer) => notes.extend(said(part, answer)),
    }
    notes.extend(part.log.iter().map(|(severity, line)| {
        let severity = match severity {
            1 => "error",
            2 => "warning",
            3 => "information",
            _ => "debug",
        };
        Note::plain(level + 1, format!("logged ({severity}): {line}"))
    }));
    notes
}

fn policy_notes(record: &DecisionRecord, policy: &PolicyRecord) -> impl Iterator<Item = Note> {
    part_notes(policy, 0, &|part, decision| {
        decision_notes(record, &answered_by(part), decision)
    })
    .into_iter()
}

fn decision_notes(record: &DecisionRecord, name: &str, decision: &ReplicaDecision) -> Vec<Note> {
    let asks = decision
        .replicas
        .map_or("holds".to_owned(), |n| format!("asks for {n}"));
    let sentence = record.named(&decision.reason.sentence);
    let text = format!("{asks} ({}): {sentence}", decision.reason.code);
    let mut notes = vec![Note::about(0, format!("policy {name}"), text)];
    for (row, proposal) in decision.proposals.iter().enumerate() {
        let metric = record.names.metrics.get(row).map_or("metric", |name| name);
        let leads = decision
            .leading
            .is_some_and(|leading| leading as usize == row);
        let mark = if leads { "*" } else { "-" };
        let text = explain_proposal(record, row, proposal);
        notes.push(Note::plain(1, format!("{mark} {metric}: {text}")));
    }
    notes
}

fn explain_proposal(record: &DecisionRecord, row: usize, proposal: &Proposal) -> String {
    let sentence = record.named(&proposal.reason.sentence);
    let Some(replicas) = proposal.replicas else {
        return format!("no proposal ({}): {sentence}", proposal.error);
    };
    let mut text = format!("{replicas} replicas");
    if let Some(utilization) = proposal.utilization {
        let _ = write!(text, ", {utilization}% of the request");
    }
    for (name, value) in [("average", proposal.average), ("value", proposal.value)] {
        if let Some(milli) = value {
            let _ = write!(
                text,
                ", {name} {}",
                flyball_decision::quantity::Milli(milli)
            );
        }
    }
    if !sentence.is_empty() {
        let _ = write!(text, ": {sentence}");
    }
    if let Some(input) = &record.input
        && let Some(arithmetic) = arithmetic(input, row, proposal)
    {
        let _ = write!(text, "; {arithmetic}");
    }
    text
}
