//! Output of a replayed record, for any kind of record.

use std::io::Write as _;

use flyball_decision::replay::{Decided, Replay};
use flyball_decision::time::Timestamp;
use flyball_nodes::record::{NodeDecisionRecord, NodeVerdict, listed};
use flyball_replicas::record::{DecisionRecord, Verdict};
use flyball_report::document::ABOUT_NODES;
use serde::Serialize;
use serde_json::{Value, json};

use crate::output::{self, DIM, Out, STRONG, WARNING, styled};

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
    /// Formats a verdict in one line.
    fn in_words(verdict: &Self::Verdict) -> String;
}

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

    fn in_words(verdict: &NodeVerdict) -> String {
        let orders = listed(&verdict.orders);
        format!("{orders}  {}: {}", verdict.reason, verdict.message)
    }
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
    let at = output::date_time(record.at());
    let object = styled(STRONG, record.object());
    writeln!(out, "{}  {object}", styled(STRONG, at))?;
    let was = R::in_words(record.verdict());
    writeln!(out, "  {} {was}", styled(DIM, "was"))?;
    writeln!(out, "  {} {}", styled(WARNING, "now"), R::in_words(now))?;
    Ok(())
}

/// Formats the result as a line of JSON.
pub fn to_json<R: ReplayedRecord>(record: &R, result: &Replay<R::Verdict>) -> Value {
    let (kind, details) = match result {
        Replay::Same => ("same", Value::Null),
        Replay::Differs { now, .. } => ("differs", json!({"now": now})),
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
