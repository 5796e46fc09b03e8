//! Documents of removals: which nodes are not needed, which stay and why, how those that
//! leave do so, and where one node stands.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::replicas::part_notes;
use super::text::{MAX_NAMES, and_more, names, utc};
use super::{Block, Document, Documented, Note, Tone};
use flyball_decision::part::Part;
use flyball_decision::question::Question;
use flyball_nodes::record::{
    DrainStepRecord, MovedPodRecord, NeededRecord, ReplacementRecord, ScaleDownRecord,
    UnneededRecord,
};
use flyball_nodes::scale_down::reasons::{self, Stay};
use flyball_nodes::standing::{DatedStep, Finding, NodeStanding};

/// Code of a pass that only concerns removals.
pub(super) const SCALE_DOWN: &str = "ScaleDown";

/// Maximum number of reasons to stay that are listed in one document.
const MAX_STAYING: usize = 20;

/// Maximum number of nodes that are not needed and are listed by name in one document.
const MAX_UNNEEDED: usize = 50;

/// Returns what a pass did about removals, in a few words. `None` if it is not worth it.
pub(super) fn result(record: &ScaleDownRecord) -> Option<(String, Tone)> {
    let nodes = |step: &str| -> Vec<&str> {
        let steps = record.steps.iter().filter(|done| *done.step == *step);
        steps.map(|done| &*done.node).collect()
    };
    let mut parts = Vec::new();
    for (step, what) in [
        ("ReplacementOrdered", "begins to replace"),
        ("ReplacementDropped", "does not replace after all"),
        ("Started", "begins to remove"),
        ("Resumed", "goes on to remove"),
        ("Terminating", "removed"),
        ("TakenBack", "keeps after all"),
    ] {
        let nodes = nodes(step);
        if !nodes.is_empty() {
            parts.push(format!("{what} {}", nodes.join(", ")));
        }
    }
    if !parts.is_empty() {
        return Some((parts.join("; "), Tone::Good));
    }
    match record.unneeded.len() {
        0 => None,
        1 => Some(("1 node is not needed".to_owned(), Tone::Plain)),
        count => Some((format!("{count} nodes are not needed"), Tone::Plain)),
    }
}

/// Returns the lines about removals: nodes that are not needed, nodes whose reason to stay
/// is new, policies that failed, and steps of removals.
#[must_use]
pub fn removals(record: &ScaleDownRecord) -> Vec<Block> {
    let listed = record.unneeded.iter().take(MAX_UNNEEDED);
    let mut notes: Vec<Note> = listed.map(unneeded).collect();
    let more = record.unneeded.len().saturating_sub(MAX_UNNEEDED);
    if more > 0 {
        notes.push(Note::plain(0, format!("{more} more are not needed")));
    }
    notes.extend(record.replacements.iter().map(replacement));
    notes.extend(staying(&record.needed));
    let questions = &record.questions;
    let mut said = Vec::new();
    for asked in &questions.pods {
        said.extend(asked.policies.iter().flat_map(failures));
    }
    for asked in &questions.nodes {
        said.extend(asked.policies.iter().flat_map(failures));
    }
    for asked in &questions.moves {
        said.extend(asked.policies.iter().flat_map(failures));
    }
    // A policy that fails does so in each part of its questions.
    said.dedup();
    notes.extend(said);
    notes.extend(record.steps.iter().map(step));
    notes.into_iter().map(Block::Note).collect()
}

/// Returns the line about a node that is not needed.
fn unneeded(node: &UnneededRecord) -> Note {
    let UnneededRecord {
        node: name, group, ..
    } = node;
    let subject = format!("{name} ({group}) is not needed:");
    Note::about(0, subject, unneeded_in_words(node))
}

/// Returns the line about nodes that cheaper ones can take the place of.
fn replacement(one: &ReplacementRecord) -> Note {
    let subject = format!("{} of {}:", one.count, one.group);
    let since = match one.ordered {
        true => "ordered now".to_owned(),
        false => format!("since {}", utc(one.since)),
    };
    let text = format!("{}, {since}", replacement_in_words(one));
    Note::about(0, subject, text)
}

/// Returns what a replacement saves: `can take the place of a, b; an hour costs 0.1000
/// instead of 0.4000`.
#[must_use]
pub fn replacement_in_words(one: &ReplacementRecord) -> String {
    let ReplacementRecord {
        leaving,
        price_before,
        price_after,
        ..
    } = one;
    format!(
        "can take the place of {}; an hour costs {price_after:.4} instead of {price_before:.4}",
        leaving.join(", ")
    )
}

/// `goes at …: unneeded since …, pods to …`.
fn unneeded_in_words(node: &UnneededRecord) -> String {
    let UnneededRecord {
        since,
        stay,
        until,
        pods,
        ..
    } = node;
    let what = match (stay, until) {
        (None, _) => "may go now".to_owned(),
        (Some(_), Some(until)) => format!("goes at {}", utc(*until)),
        (Some(stay), None) => format!("waits ({})", reason(stay)),
    };
    let pods = match pods.as_slice() {
        [] => "no pods to move".to_owned(),
        pods => format!("pods to move: {}", moved(pods)),
    };
    format!("{what}: unneeded since {}, {pods}", utc(*since))
}

/// Returns where a pod would go: `shop/a → n1`.
#[must_use]
pub fn moved_pod(MovedPodRecord { pod, to }: &MovedPodRecord) -> String {
    let to = to.as_deref().unwrap_or("wherever there is room");
    format!("{}/{} → {to}", pod.namespace, pod.name)
}

/// Lists pods and where each would go: `shop/a → n1, shop/b → n2 and 3 more`.
fn moved(pods: &[MovedPodRecord]) -> String {
    let texts: Vec<String> = pods.iter().take(MAX_NAMES).map(moved_pod).collect();
    and_more(&texts, pods.len().saturating_sub(MAX_NAMES))
}

/// Returns the lines about nodes that stay, one for each reason, that of most nodes first.
/// Beyond a number of lines, only how many nodes there are for each code.
#[must_use]
pub fn staying(nodes: &[NeededRecord]) -> Vec<Note> {
    let mut by_reason: BTreeMap<String, Vec<&NeededRecord>> = BTreeMap::new();
    for node in nodes {
        by_reason.entry(reason(&node.stay)).or_default().push(node);
    }
    let mut reasons: Vec<_> = by_reason.into_iter().collect();
    reasons.sort_by_key(|(_, nodes)| Reverse(nodes.len()));
    let others = reasons.split_off(reasons.len().min(MAX_STAYING));
    let listed = reasons.into_iter().map(|(reason, nodes)| {
        let stay = if nodes.len() == 1 { "stays" } else { "stay" };
        let names = names(nodes.iter().map(|node| &*node.node));
        Note::about(0, format!("{names} {stay}:"), reason)
    });
    let mut notes: Vec<Note> = listed.collect();
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for node in others.iter().flat_map(|(_, nodes)| nodes) {
        *codes.entry(&**node.stay.cause()).or_default() += 1;
    }
    notes.extend(codes.into_iter().map(|(code, count)| {
        let subject = format!("{count} more stay:");
        Note::about(0, subject, code)
    }));
    notes
}

/// A reason in words: `NotEnoughPdb: pod shop/cart-7f of ReplicaSet cart (…) by
/// drain-rules`.
#[must_use]
pub fn reason(stay: &Stay) -> String {
    let mut text = stay.cause().to_string();
    let because = stay.because();
    match &stay.pod {
        Some(pod) => {
            text += &format!(": pod {}/{}", pod.namespace, pod.name);
            if let Some(owner) = &stay.owner {
                text += &format!(" of {owner}");
            }
            if !because.is_empty() {
                text += &format!(" ({because})");
            }
        }
        None if !because.is_empty() => text += &format!(": {because}"),
        None => {}
    }
    if let Some(policy) = &stay.policy {
        text += &format!(" by {policy}");
    }
    text
}

/// Returns the lines about a policy that failed or logged something.
fn failures<Q: Question>(part: &Part<Q>) -> Vec<Note> {
    part_notes(part, 0, &|_, _| Vec::new())
}

fn step(done: &DrainStepRecord) -> Note {
    let DrainStepRecord {
        node,
        step,
        message,
    } = done;
    Note::about(0, format!("{node}: {step}:"), message).in_tone(tone_of(step))
}

fn tone_of(step: &str) -> Tone {
    match step {
        "EvictionRefused" | "ReplacementDropped" => Tone::Warning,
        "TakenBack" | "TakingBackFailed" | "TerminationFailed" | "Lingers" => Tone::Bad,
        "Terminating" | "Gone" => Tone::Good,
        _ => Tone::Plain,
    }
}

impl Documented for NodeStanding {
    fn document(&self) -> Document {
        let (result, code, mut notes) = match &self.finding {
            Finding::Needed { stay, .. } if *stay.code == *reasons::BEING_DELETED.code => {
                ("is leaving".to_owned(), &*stay.code, Vec::new())
            }
            Finding::Needed { since, stay } => {
                let text = format!(
                    "since {}; looked at again when {}",
                    utc(*since),
                    stay.again()
                );
                let notes = vec![Note::plain(0, text)];
                (format!("stays: {}", reason(stay)), &**stay.cause(), notes)
            }
            Finding::Unneeded(unneeded) => {
                let stay = unneeded.stay.as_ref();
                let again = stay.map(|stay| {
                    let text = format!("looked at again when {}", stay.again());
                    Note::about(0, format!("{}:", reason(stay)), text)
                });
                let code = stay.map_or(SCALE_DOWN, |stay| &**stay.cause());
                let notes = again.into_iter().collect();
                (unneeded_in_words(unneeded), code, notes)
            }
            Finding::Gone => ("is gone".to_owned(), SCALE_DOWN, Vec::new()),
            Finding::NotPlanned => ("is being removed".to_owned(), SCALE_DOWN, Vec::new()),
        };
        notes.extend(self.steps.iter().map(|done| {
            let DatedStep { at, step, message } = done;
            let subject = format!("{} {step}:", utc(*at));
            Note::about(0, subject, message).in_tone(tone_of(step))
        }));
        Document {
            at: self.at,
            about: format!("node/{}", self.node),
            result,
            tone: Tone::Plain,
            code: code.to_owned(),
            because: String::new(),
            blocks: notes.into_iter().map(Block::Note).collect(),
        }
    }
}
