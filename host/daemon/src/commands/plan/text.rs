//! Prints a plan as text.

use std::io::Write as _;

use flyball_decision::text::counted;
use flyball_nodes::record::{Round, Upcoming, listed};
use flyball_report::document::{self, Block};

use super::PlanReport;
use super::removals::{Removals, RemovedNode};
use crate::output::{self, GOOD, Out, STRONG, WARNING, plain, styled};

/// Prints the whole plan.
pub fn print(report: &PlanReport) -> anyhow::Result<()> {
    let mut out = output::out();
    let pending = &report.pending;
    let waiting = pending.unschedulable as usize;
    writeln!(
        out,
        "{} in {}, {}: {} for a node",
        counted(report.nodes, "node"),
        counted(report.groups.len(), "node group"),
        counted(report.pods, "pod"),
        match waiting {
            1 => "1 waits".to_owned(),
            count => format!("{count} wait"),
        }
    )?;
    for problem in &report.problems {
        writeln!(out, "{} {}", styled(WARNING, "note:"), plain(problem))?;
    }
    let left_out = [
        (
            pending.expendable,
            "may wait: their priority is below the cutoff",
        ),
        (pending.young, "are too young"),
        (
            pending.daemon_set,
            "are for one node each, by their DaemonSet",
        ),
        (pending.fit, "have room on nodes that are there or coming"),
        (
            pending.drained,
            "more must leave nodes that are being drained",
        ),
    ];
    for (count, what) in left_out.iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "  {count} {what}")?;
    }
    for Upcoming { group, nodes } in &report.upcoming {
        let nodes = counted(*nodes as usize, "node");
        writeln!(out, "  {}: {nodes} on the way", plain(group))?;
    }
    // Rounds about a topology domain order nothing: all pods are in the next round.
    let mut is_first = true;
    for round in &report.rounds {
        writeln!(out)?;
        print_round(&mut out, is_first, round)?;
        is_first &= round.domain.is_some();
    }
    if !report.skipped.is_empty() {
        writeln!(out, "\n{}", styled(STRONG, "No option"))?;
        let skipped = report.skipped.iter().map(document::skipped);
        print_blocks(&mut out, &skipped.map(Block::Note).collect::<Vec<_>>(), 1)?;
    }
    if !report.remaining.is_empty() {
        writeln!(out, "\n{}", styled(STRONG, "Pods that no order helps"))?;
        let remaining = report.remaining.iter().flat_map(document::remaining);
        print_blocks(&mut out, &remaining.map(Block::Note).collect::<Vec<_>>(), 1)?;
    }
    let verdict = &report.verdict;
    let plan = match verdict.orders.as_slice() {
        [] => format!("nothing to order: {}", plain(&verdict.message)),
        orders => styled(GOOD, listed(orders)),
    };
    print_removals(&mut out, &report.scale_down)?;
    writeln!(out, "\n{} {plan}", styled(STRONG, "Plan:"))?;
    let removed = &report.scale_down.removed;
    if !removed.is_empty() {
        let count = counted(removed.len(), "node");
        let saved = saved(report.scale_down.saved_per_hour);
        let names = document::names(removed.iter().map(|node| &*node.node));
        let line = format!("{count} could go{saved}: {names}");
        writeln!(out, "      {}", styled(GOOD, line))?;
    }
    Ok(())
}

/// Prints which nodes could go, and why the others stay.
fn print_removals(out: &mut Out, removals: &Removals) -> anyhow::Result<()> {
    if !removals.removed.is_empty() {
        writeln!(out, "\n{}", styled(STRONG, "Nodes that could go now"))?;
    }
    for (number, node) in removals.removed.iter().enumerate() {
        let RemovedNode {
            node,
            group,
            price,
            pods,
        } = node;
        let saved = saved(*price);
        let node = plain(format!("{node} ({group}){saved}"));
        writeln!(out, "  {}. {node}", number + 1)?;
        for pod in pods {
            writeln!(out, "     {}", plain(document::moved_pod(pod)))?;
        }
    }
    if !removals.replacements.is_empty() {
        let heading = "Nodes that cheaper ones could take the place of";
        writeln!(out, "\n{}", styled(STRONG, heading))?;
    }
    for one in &removals.replacements {
        let text = document::replacement_in_words(one);
        let text = plain(format!("{} {text}", one.group));
        writeln!(out, "  {} of {text}", one.count)?;
    }
    if !removals.staying.is_empty() {
        writeln!(out, "\n{}", styled(STRONG, "Nodes that stay"))?;
    }
    let staying = document::staying(&removals.staying).into_iter();
    print_blocks(out, &staying.map(Block::Note).collect::<Vec<_>>(), 1)?;
    for note in &removals.notes {
        writeln!(out, "{} {}", styled(WARNING, "note:"), plain(note))?;
    }
    Ok(())
}

/// `, which saves 0.2 an hour`. Empty if the price is not known.
fn saved(price: Option<f64>) -> String {
    let text = |price| format!(", which saves {price:.4} an hour");
    price.map_or_else(String::new, text)
}

/// Prints a choice. `is_first` is true if nothing was ordered before it.
fn print_round(out: &mut Out, is_first: bool, round: &Round) -> anyhow::Result<()> {
    // A choice of a domain has a heading of its own.
    if round.domain.is_none() {
        let heading = match is_first {
            true => "Options",
            false => "Options for the pods that are left",
        };
        writeln!(out, "{}", styled(STRONG, heading))?;
    }
    print_blocks(out, &document::round(round), 0)
}

fn print_blocks(out: &mut Out, blocks: &[Block], level: usize) -> anyhow::Result<()> {
    write!(out, "{}", Block::text(blocks, level, output::printer()))?;
    Ok(())
}
