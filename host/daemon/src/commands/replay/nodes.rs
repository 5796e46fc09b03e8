//! What replaying a decision about nodes shows.

use std::io::Write as _;

use flyball_core::nodes::record::{NodeDecisionRecord, NodeVerdict, listed};
use flyball_core::nodes::replay::NodeReplay;
use serde_json::{Value, json};

use crate::output::{self, DIM, Out, STRONG, WARNING, styled};

/// Prints a verdict that is another one now.
pub fn print(
    out: &mut Out,
    record: &NodeDecisionRecord,
    result: &NodeReplay,
) -> anyhow::Result<()> {
    let NodeReplay::Differs { was, now } = result else {
        return Ok(());
    };
    let at = output::date_time(record.at);
    writeln!(out, "{}  {}", styled(STRONG, at), styled(STRONG, "nodes"))?;
    writeln!(out, "  {} {}", styled(DIM, "was"), in_words(was))?;
    writeln!(out, "  {} {}", styled(WARNING, "now"), in_words(now))?;
    Ok(())
}

fn in_words(verdict: &NodeVerdict) -> String {
    let orders = listed(&verdict.orders);
    format!("{orders}  {}: {}", verdict.reason, verdict.message)
}

/// The result as a line of JSON.
pub fn to_json(record: &NodeDecisionRecord, result: &NodeReplay) -> Value {
    let (kind, details) = match result {
        NodeReplay::Same => ("same", Value::Null),
        NodeReplay::Differs { now, .. } => ("differs", json!({ "now": now })),
        NodeReplay::NothingAsked => ("nothingAsked", Value::Null),
        NodeReplay::PolicyUnavailable { name, digest } => (
            "policyUnavailable",
            json!({ "policy": name, "digest": digest }),
        ),
    };
    json!({
        "sequence": record.sequence,
        "at": record.at,
        "object": "nodes",
        "result": kind,
        "verdict": record.verdict,
        "details": details,
    })
}
