//! A record as a person wants to read it.

use std::fmt::Write as _;

use crate::question::PolicyRecord;
use crate::record::{DecisionRecord, Outcome};
use crate::replica::{Proposal, ReplicaDecision};
use crate::spec::Mode;
use crate::time::Timestamp;

/// Explains a decision in a few lines: what became of the replicas, which policy
/// asked for it and why, what each metric and each guardrail had to say.
#[must_use]
pub fn explain(record: &DecisionRecord) -> String {
    let mut text = headline(record);
    if !record.verdict.message.is_empty() {
        let _ = writeln!(text, "  because: {}", record.verdict.message);
    }
    for policy in &record.policies {
        explain_policy(&mut text, record, policy);
    }
    for step in record.guard_steps.iter().filter(|step| step.changed()) {
        let _ = writeln!(
            text,
            "  guardrail {}: {} → {} ({}: {})",
            step.guardrail, step.before, step.after, step.reason, step.message
        );
    }
    text
}

fn headline(record: &DecisionRecord) -> String {
    let object = &record.object;
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
    let mode = match record.mode {
        Mode::Active => "",
        Mode::Observe => " [Observe]",
    };
    format!(
        "{}  {}/{}{mode}  {replicas}{outcome}  ({})\n",
        utc(record.at),
        object.namespace,
        object.name,
        verdict.reason
    )
}

fn explain_policy(text: &mut String, record: &DecisionRecord, policy: &PolicyRecord) {
    let name = match &policy.version {
        Some(version) => format!(
            "{} {} ({})",
            version.name,
            version.version,
            version.short_digest()
        ),
        None => policy.name.to_string(),
    };
    if let Some(failed) = &policy.failed {
        explain_policy(text, record, failed);
        let _ = if policy.previous {
            writeln!(text, "  the version before goes on deciding")
        } else {
            writeln!(text, "  policy {name} stands in for {}", failed.name)
        };
    }
    match &policy.answer {
        Err(failure) => {
            let _ = writeln!(text, "  policy {name}: {failure}");
        }
        Ok(decision) => explain_decision(text, record, &name, decision),
    }
    for (level, line) in &policy.log {
        let level = match level {
            1 => "error",
            2 => "warning",
            3 => "information",
            _ => "debug",
        };
        let _ = writeln!(text, "    logged ({level}): {line}");
    }
}

fn explain_decision(
    text: &mut String,
    record: &DecisionRecord,
    name: &str,
    decision: &ReplicaDecision,
) {
    let asks = decision
        .replicas
        .map_or("holds".to_owned(), |n| format!("asks for {n}"));
    let sentence = record.named(&decision.reason.sentence);
    let _ = writeln!(
        text,
        "  policy {name} {asks} ({}): {sentence}",
        decision.reason.code
    );
    for (row, proposal) in decision.proposals.iter().enumerate() {
        let metric = record.names.metrics.get(row).map_or("metric", |name| name);
        let leads = decision
            .leading
            .is_some_and(|leading| leading as usize == row);
        let mark = if leads { "*" } else { "-" };
        let _ = writeln!(
            text,
            "    {mark} {metric}: {}",
            explain_proposal(record, proposal)
        );
    }
}

fn explain_proposal(record: &DecisionRecord, proposal: &Proposal) -> String {
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
            let _ = write!(text, ", {name} {}", crate::quantity::Milli(milli));
        }
    }
    if !sentence.is_empty() {
        let _ = write!(text, ": {sentence}");
    }
    text
}

/// A point in time as RFC 3339 in UTC, to the second (days to civil date by
/// Howard Hinnant's `civil_from_days`).
#[must_use]
pub fn utc(at: Timestamp) -> String {
    let seconds = at.0.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::utc;
    use crate::time::Timestamp;

    #[test]
    fn times_are_utc() {
        assert_eq!(utc(Timestamp(0)), "1970-01-01T00:00:00Z");
        assert_eq!(utc(Timestamp(951_827_696_000)), "2000-02-29T12:34:56Z");
        assert_eq!(utc(Timestamp(1_772_442_088_000)), "2026-03-02T09:01:28Z");
        assert_eq!(utc(Timestamp(-1)), "1969-12-31T23:59:59Z");
    }
}
