//! Decisions about nodes: the candidates with their scores, who chose and why, and
//! why pods were left over.

use flyball_core::nodes::record::{
    NodeDecisionRecord, OrderOutcome, PodList, Remaining, Round, listed,
};
use flyball_core::question::ExpanderRecord;

use super::html::{Text, table};
use super::page::named;
use crate::run::Run;
use crate::text::{count, counted, figure};
use crate::time::elapsed_text;

/// Most decisions that are shown open.
const OPEN: usize = 3;

/// All that are kept, the last one first; nothing where the run has no nodes.
pub fn html(run: &Run) -> String {
    let Some(nodes) = &run.nodes else {
        return String::new();
    };
    let journal = &nodes.journal;
    let mut html = format!(
        "<h2>Decisions about nodes</h2>\n<p>{}, {}; of those that say something new, the \
         last {}.</p>\n",
        counted(journal.count, "decision"),
        counted(journal.orders, "order"),
        journal.decisions.len()
    );
    for (number, record) in journal.decisions.iter().rev().enumerate() {
        html += &decision(run, record, number < OPEN);
    }
    html
}

fn decision(run: &Run, record: &NodeDecisionRecord, open: bool) -> String {
    let open = if open { " open" } else { "" };
    let verdict = &record.verdict;
    let orders = match verdict.orders.as_slice() {
        [] => String::new(),
        orders => format!(" <code>{}</code>", Text(&listed(orders))),
    };
    let mut html = format!(
        "<details class=decision{open}><summary><span class=at>{}</span> <b>{}</b>{orders} \
         <small>{}</small></summary>\n",
        elapsed_text(run.since_start(record.at)),
        Text(&verdict.reason),
        waited(record),
    );
    html += &format!("<p>{}</p>\n", Text(&verdict.message));
    for round in &record.rounds {
        html += &candidates(round);
    }
    html += &notes(record);
    html += &remaining(&record.remaining);
    html + "</details>\n"
}

/// How many pods waited, and for how many nodes were sought.
fn waited(record: &NodeDecisionRecord) -> String {
    let pending = &record.pending;
    let coming: u32 = record.upcoming.iter().map(|group| group.nodes).sum();
    let mut text = format!("{} pending", pending.unschedulable);
    if pending.fit > 0 {
        text += &format!(", {} fit on nodes there or coming", pending.fit);
    }
    if coming > 0 {
        text += &format!(", {} coming", counted(coming.into(), "node"));
    }
    text
}

/// The options of a choice, a row each, with what each expander made of them.
fn candidates(round: &Round) -> String {
    let options = &round.input.options;
    let mut columns = vec![
        "candidate".to_owned(),
        "size".to_owned(),
        "nodes".to_owned(),
        "pods".to_owned(),
        "cpu used".to_owned(),
        "memory used".to_owned(),
        "price per hour".to_owned(),
    ];
    columns.extend(round.expanders.iter().map(|part| part.name.to_string()));
    let row = |row: usize| {
        let nodes = i64::from(options.node_count[row]);
        let chosen = round
            .choice
            .row
            .is_some_and(|chosen| chosen as usize == row);
        let name = Text(&options.label(row)).to_string();
        let price = options.node_price[row].map(|price| price * nodes as f64);
        let mut cells = vec![
            if chosen {
                format!("<b>{name}</b> ✓")
            } else {
                name
            },
            format!(
                "{} (max {})",
                options.current_size[row], options.max_size[row]
            ),
            format!("+{nodes}"),
            options.pod_count[row].to_string(),
            used(options.requested_cpu[row], nodes, options.capacity_cpu[row]),
            used(
                options.requested_memory[row],
                nodes,
                options.capacity_memory[row],
            ),
            price.map_or_else(|| "–".to_owned(), figure),
        ];
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        cells.extend(round.expanders.iter().map(|part| score(part, row)));
        cells
    };
    let rows: Vec<_> = (0..options.len()).map(row).collect();
    let headings: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut html = String::new();
    if let Some(domain) = &round.domain {
        html += &format!("<p>Which group stands for {}:</p>\n", Text(domain));
    }
    html += &table(&headings, &rows, 1);
    html += "<ul>";
    for part in &round.expanders {
        for part in part.parts() {
            html += &format!("<li>{}</li>", asked(part));
        }
    }
    let choice = &round.choice;
    // Else the last expander's words are the reason.
    if choice.row.is_none() || choice.left > 1 {
        html += &said(&choice.reason, &choice.message);
    }
    for step in &round.steps {
        let changed = format!("{} → {} nodes: {}", step.from, step.to, step.message);
        html += &said(&step.guardrail, &changed);
    }
    if round.helped.count > 0 {
        html += &said("Helps", &pods(&round.helped));
    }
    html + "</ul>\n"
}

/// What part of some nodes' capacity is requested.
fn used(requested: i64, nodes: i64, capacity: i64) -> String {
    let all = capacity.saturating_mul(nodes);
    if all <= 0 {
        return "–".to_owned();
    }
    format!("{:.0}%", 100.0 * requested as f64 / all as f64)
}

/// What an expander made of an option.
fn score(part: &ExpanderRecord, row: u32) -> String {
    let Some(place) = part.own.iter().position(|asked| *asked == row) else {
        return String::new();
    };
    let Ok(ranking) = &part.answer else {
        return "failed".to_owned();
    };
    let best = u32::try_from(place).is_ok_and(|place| ranking.best.contains(&place));
    let score = ranking.scores.get(place).copied().flatten();
    match (score, best) {
        (Some(score), true) => format!("<b>{}</b>", figure(score)),
        (Some(score), false) => figure(score),
        (None, true) => "<b>best</b>".to_owned(),
        (None, false) => "dropped".to_owned(),
    }
}

/// Who was asked, and what the answer was.
fn asked(part: &ExpanderRecord) -> String {
    let name = part
        .version
        .as_ref()
        .map_or_else(|| Text(&part.name).to_string(), |version| named(version));
    match &part.answer {
        Ok(ranking) => {
            let reason = &ranking.reason;
            format!(
                "{name}: <b>{}</b> {}",
                Text(&reason.code),
                Text(&reason.sentence)
            )
        }
        Err(failure) => {
            format!(
                "<span class=bad>{name}: {}</span>",
                Text(&failure.to_string())
            )
        }
    }
}

/// Groups that were no option, orders that failed, and what was found beside.
fn notes(record: &NodeDecisionRecord) -> String {
    let mut html = String::new();
    for skipped in &record.skipped {
        html += &said(
            &skipped.code,
            &format!("{}: {}", skipped.group, skipped.message),
        );
    }
    for (order, outcome) in record.verdict.orders.iter().zip(&record.outcomes) {
        if let OrderOutcome::Failed { class, message } = outcome {
            html += &said(class, &format!("{order} was refused: {message}"));
        }
    }
    for incident in &record.incidents {
        html += &said(&incident.code, &incident.message);
    }
    if html.is_empty() {
        return html;
    }
    format!("<ul>{html}</ul>\n")
}

fn said(code: &str, message: &str) -> String {
    format!("<li><b>{}</b> {}</li>", Text(code), Text(message))
}

/// Pods that no order helps, and why.
fn remaining(remaining: &[Remaining]) -> String {
    if remaining.is_empty() {
        return String::new();
    }
    let row = |class: &Remaining| {
        let reasons: Vec<String> = class.reasons.iter().map(ToString::to_string).collect();
        vec![
            Text(&pods(&class.pods)).to_string(),
            Text(&reasons.join("; ")).to_string(),
        ]
    };
    let rows: Vec<_> = remaining.iter().map(row).collect();
    table(&["fits nowhere", "why"], &rows, 2)
}

/// Some pods by name, or how many.
fn pods(list: &PodList) -> String {
    const MOST: usize = 3;
    let names = list.names.iter().take(MOST);
    let names: Vec<String> = names
        .map(|key| format!("{}/{}", key.namespace, key.name))
        .collect();
    let named = u32::try_from(names.len()).unwrap_or(u32::MAX);
    let more = list.count.saturating_sub(named);
    let names = names.join(", ");
    match more {
        0 => names,
        _ => format!("{names} and {} more", count(f64::from(more))),
    }
}
