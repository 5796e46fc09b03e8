//! Output of a replayed record, for any kind of record.

use std::io::Write as _;

use flyball_decision::replay::{Decided, Replay};
use flyball_decision::time::Timestamp;
use flyball_nodes::record::{NodeDecisionRecord, NodeVerdict, listed};
use flyball_nodes::replay::NodeDecision;
use flyball_replicas::record::{DecisionRecord, Verdict};
use flyball_report::document::ABOUT_NODES;
use serde::Serialize;
use serde_json::{Value, json};

use crate::output::{DIM, Out, STRONG, WARNING, plain, styled};

/// A record whose replay can be printed.
pub trait ReplayedRecord: Decided<Verdict: Serialize> {
    /// Returns the time of the decision.
    fn at(&self) -> Timestamp;
    /// Returns the record's sequence number in its daemon.
    fn sequence(&self) -> u64;
    /// Returns the object of the decision as text.
    fn object(&self) -> String;
    /// Returns the object of the decision as JSON.
    fn object_json(&self) -> Value;
    /// Returns what differs between the recorded verdict and another one, each as it was and
    /// as it is now, in a line.
    fn differences(&self, now: &Self::Verdict) -> Vec<Difference>;
    /// Returns what a verdict differs in beside its own JSON. `None` if there is nothing.
    fn differences_json(&self, _now: &Self::Verdict) -> Option<Value> {
        None
    }
}

/// Something that differs in a replay.
pub struct Difference {
    was: String,
    now: String,
}

/// Maximum number of differences of one record that are printed.
const MAX_DIFFERENCES: usize = 10;

impl ReplayedRecord for DecisionRecord {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn object(&self) -> String {
        format!("{}/{}", self.object.namespace, self.object.name)
    }

    fn object_json(&self) -> Value {
        json!(self.object)
    }

    fn differences(&self, now: &Verdict) -> Vec<Difference> {
        vec![Difference {
            was: in_words(&self.verdict),
            now: in_words(now),
        }]
    }
}

fn in_words(verdict: &Verdict) -> String {
    let from = verdict.from.map_or("?".to_owned(), |from| from.to_string());
    let to = verdict.to.map_or("hold".to_owned(), |to| to.to_string());
    let proposed = verdict
        .proposed
        .map_or("hold".to_owned(), |proposed| proposed.to_string());
    format!(
        "{from} → {to} (asked for: {proposed})  {}: {}",
        verdict.reason, verdict.message
    )
}

impl ReplayedRecord for NodeDecisionRecord {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn object(&self) -> String {
        ABOUT_NODES.to_owned()
    }

    fn object_json(&self) -> Value {
        json!(ABOUT_NODES)
    }

    fn differences(&self, now: &NodeDecision) -> Vec<Difference> {
        let mut found = Vec::new();
        if now.verdict != self.verdict {
            found.push(Difference {
                was: orders_in_words(&self.verdict),
                now: orders_in_words(&now.verdict),
            });
        }
        let judged = now.judged_otherwise(self).into_iter();
        found.extend(judged.map(|judged| {
            let by = judged.about.as_ref().map_or_else(
                || format!("{}: ", judged.policy),
                |about| format!("{about} by {}: ", judged.policy),
            );
            Difference {
                was: by.clone() + &judged.was,
                now: by + &judged.now,
            }
        }));
        found
    }

    fn differences_json(&self, now: &NodeDecision) -> Option<Value> {
        let judged = now.judged_otherwise(self);
        (!judged.is_empty()).then(|| json!(judged))
    }
}

fn orders_in_words(verdict: &NodeVerdict) -> String {
    let orders = listed(&verdict.orders);
    format!("{orders}  {}: {}", verdict.reason, verdict.message)
}

/// Prints a verdict that differs from the recorded one.
pub fn print<R: ReplayedRecord>(
    out: &mut Out,
    record: &R,
    result: &Replay<R::Verdict>,
) -> anyhow::Result<()> {
    let (Replay::Differs { now, .. }
    | Replay::TakenAsGiven {
        differs: Some(now), ..
    }) = result
    else {
        return Ok(());
    };
    let at = record.at().to_rfc3339();
    let object = styled(STRONG, record.object());
    writeln!(out, "{}  {object}", styled(STRONG, at))?;
    let differences = record.differences(now);
    for Difference { was, now } in differences.iter().take(MAX_DIFFERENCES) {
        writeln!(out, "  {} {}", styled(DIM, "was"), plain(was))?;
        writeln!(out, "  {} {}", styled(WARNING, "now"), plain(now))?;
    }
    let more = differences.len().saturating_sub(MAX_DIFFERENCES);
    if more > 0 {
        writeln!(out, "  {}", styled(DIM, format!("and {more} more")))?;
    }
    Ok(())
}

/// Formats the result as a line of JSON.
pub fn to_json<R: ReplayedRecord>(record: &R, result: &Replay<R::Verdict>) -> Value {
    let details_of = |now: &R::Verdict| {
        let mut details = json!({"now": now});
        if let Some(judged) = record.differences_json(now) {
            details["judgedOtherwise"] = judged;
        }
        details
    };
    let (kind, details) = match result {
        Replay::Same => ("same", Value::Null),
        Replay::Differs { now, .. } => ("differs", details_of(now)),
        Replay::NothingAsked => ("nothingAsked", Value::Null),
        Replay::PolicyUnavailable { name, digest } => (
            "policyUnavailable",
            json!({"policy": name, "digest": digest}),
        ),
        Replay::TakenAsGiven {
            name,
            failure,
            differs,
        } => (
            "takenAsGiven",
            json!({"policy": name, "failure": failure, "now": differs}),
        ),
    };
    json!({
        "sequence": record.sequence(),
        "at": record.at(),
        "object": record.object_json(),
        "result": kind,
        "verdict": record.verdict(),
        "details": details,
    })
}
