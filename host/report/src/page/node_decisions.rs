//! Decisions about nodes: candidates with their scores, the expander that chose and its
//! reason, and why pods were left without a node.

use flyball_decision::text::counted;
use flyball_nodes::record::NodeDecisionRecord;

use super::documents;
use crate::document::Documented as _;
use crate::figures::{Column, columns};
use crate::html::{Text, legend};
use flyball_simulation::Run;
use flyball_simulation::time::elapsed_text;

/// Maximum number of decisions that are shown expanded.
const OPEN: usize = 3;

/// Columns of the options of a choice.
const OPTIONS: [Column<'static>; 8] = columns([
    (
        "node group",
        "the group that would grow; → marks the chosen one",
    ),
    ("size", "its nodes now, and its maximum"),
    ("nodes", "nodes to order"),
    ("pods", "pending pods that they have room for"),
    (
        "cpu used",
        "requests of these pods, in percent of the new nodes' cpu",
    ),
    (
        "memory used",
        "requests of these pods, in percent of the new nodes' memory",
    ),
    ("price per hour", "price of the new nodes together"),
    (
        "further columns",
        "what each expander answered: a score, or whether it keeps the option",
    ),
]);

/// Renders all decisions kept, the last one first. Empty if the run has no nodes.
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
    if journal
        .decisions
        .iter()
        .any(|record| !record.rounds.is_empty())
    {
        html += &legend(&OPTIONS);
    }
    for (number, record) in journal.decisions.iter().rev().enumerate() {
        html += &decision(run, record, number < OPEN);
    }
    html
}

fn decision(run: &Run, record: &NodeDecisionRecord, open: bool) -> String {
    let open = if open { " open" } else { "" };
    let document = record.document();
    format!(
        "<details class=decision{open}><summary><span class=at>{}</span> <b>{}</b> \
         <code>{}</code></summary>\n<p>{}</p>\n{}</details>\n",
        elapsed_text(run.since_start(record.at)),
        Text(&document.code),
        Text(&document.result),
        Text(&document.because),
        documents::html(&document.blocks)
    )
}
