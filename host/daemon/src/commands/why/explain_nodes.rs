//! A decision about nodes, in words.

use std::fmt::Write as _;

use flyball_core::nodes::record::{NodeDecisionRecord, OrderOutcome, PodList, Round};
use flyball_core::question::ExpanderRecord;

use crate::output;

/// What was decided, from which options, and why the other pods fit nowhere.
pub fn explain(record: &NodeDecisionRecord) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = write_all(&mut text, record);
    text
}

fn write_all(text: &mut String, record: &NodeDecisionRecord) -> std::fmt::Result {
    let verdict = &record.verdict;
    let at = output::date_time(record.at);
    writeln!(text, "{at}  {}: {}", verdict.reason, verdict.message)?;
    let pending = &record.pending;
    writeln!(
        text,
        "  pods without a node: {}, of which {} fit on nodes that are there or on their way; nodes were sought for {}",
        pending.unschedulable, pending.fit, pending.sought
    )?;
    for upcoming in &record.upcoming {
        writeln!(
            text,
            "  {} nodes of {} are on their way",
            upcoming.nodes, upcoming.group
        )?;
    }
    for round in &record.rounds {
        write_round(text, round)?;
    }
    for (index, order) in verdict.orders.iter().enumerate() {
        let outcome = match record.outcomes.get(index) {
            Some(OrderOutcome::Ordered) => "ordered".to_owned(),
            Some(OrderOutcome::Failed { class, message }) => format!("{class}: {message}"),
            None => "not ordered".to_owned(),
        };
        writeln!(text, "  order {order}: {outcome}")?;
    }
    for skipped in &record.skipped {
        writeln!(
            text,
            "  {} was no option: {}",
            skipped.group, skipped.message
        )?;
    }
    for remaining in &record.remaining {
        writeln!(text, "  no order helps {}", names(&remaining.pods))?;
        for refusal in &remaining.reasons {
            writeln!(text, "    {refusal}")?;
        }
    }
    for incident in &record.incidents {
        writeln!(text, "  {}: {}", incident.code, incident.message)?;
    }
    Ok(())
}

fn write_round(text: &mut String, round: &Round) -> std::fmt::Result {
    let options = &round.input.options;
    if let Some(domain) = &round.domain {
        writeln!(text, "  which group stands for {domain}:")?;
    }
    writeln!(text, "  {}: {}", round.choice.reason, round.choice.message)?;
    for row in 0..options.len() {
        let mark = match round.choice.row {
            Some(chosen) if chosen as usize == row => "→",
            _ => " ",
        };
        let figure = |column: &[u32]| column.get(row).copied().unwrap_or_default();
        let (nodes, pods) = (figure(&options.node_count), figure(&options.pod_count));
        let group = options.label(row);
        writeln!(
            text,
            "  {mark} {group}: {nodes} nodes for {pods} pods{}",
            scores(&round.expanders, row)
        )?;
    }
    for expander in round.expanders.iter().flat_map(ExpanderRecord::parts) {
        let name = match expander.previous {
            true => format!("{}, the version before", expander.name),
            false => expander.name.to_string(),
        };
        match &expander.answer {
            Ok(ranking) => {
                writeln!(text, "    {name}: {}", ranking.reason.sentence)?;
            }
            Err(failure) => writeln!(text, "    {name}: {failure}")?,
        }
    }
    if !round.helps_in.is_empty() {
        let zones = round.helps_in.join(", ");
        writeln!(
            text,
            "    one node at a time: it helps in zone {zones}, and the cloud chooses"
        )?;
    }
    for step in &round.steps {
        writeln!(
            text,
            "    {}: {} → {}: {}",
            step.guardrail, step.from, step.to, step.message
        )?;
    }
    Ok(())
}

/// The figures that the expanders gave the option of a row.
fn scores(expanders: &[ExpanderRecord], row: usize) -> String {
    let mut text = String::new();
    for expander in expanders {
        let Ok(ranking) = &expander.answer else {
            continue;
        };
        let asked = expander.own.iter().position(|asked| *asked as usize == row);
        if let Some(Some(score)) = asked.and_then(|asked| ranking.scores.get(asked)) {
            let _ = write!(text, ", {} {score:.4}", expander.name);
        }
    }
    text
}

fn names(pods: &PodList) -> String {
    let named = pods.names.iter().take(3);
    let named: Vec<_> = named
        .map(|key| format!("{}/{}", key.namespace, key.name))
        .collect();
    let others = (pods.count as usize).saturating_sub(named.len());
    match others {
        0 => named.join(", "),
        _ => format!("{} and {others} more", named.join(", ")),
    }
}
