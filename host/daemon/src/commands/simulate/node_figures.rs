//! Output of a run's nodes, on a terminal and as JSON.

use std::io::Write;

use flyball_report::document::Documented as _;
use flyball_report::figures::{self, Column};
use flyball_simulation::time::elapsed_text;
use flyball_simulation::{GroupHistory, NodesRun, Run};
use serde_json::{Value, json};

use crate::output::{self, DIM, Table, styled};

/// Maximum number of decisions printed on a terminal.
const MAX_DECISIONS: usize = 5;

/// Prints figures of the nodes, and the decisions about them; nothing if there are none.
pub fn print(out: &mut impl Write, runs: &[Run]) -> anyhow::Result<()> {
    let [run] = runs else {
        return print_compared(out, runs);
    };
    let (Some(nodes), Some(summary)) = (&run.nodes, run.node_summary()) else {
        return Ok(());
    };
    writeln!(out)?;
    write!(out, "{}", groups(nodes))?;
    let cost = summary.cost.map_or(String::new(), |cost| {
        format!("cost {cost:.2}, {:.3} per hour; ", cost / hours(run))
    });
    let [_, _, _, orders, most_pending, waited] = figures::node_cells(&summary);
    writeln!(
        out,
        "{cost}orders {orders}; most pods pending {most_pending}, waited {waited} in all"
    )?;
    if let Some(removals) = &summary.removals {
        let [removed, moved, evictions, taken_back, pending, lost] =
            figures::removal_cells(removals);
        writeln!(
            out,
            "nodes removed {removed}; pods moved per node {moved}; evictions per hour \
             {evictions}; drains taken back {taken_back}; pods pending after a drain {pending}, \
             lost {lost}"
        )?;
    }
    print_decisions(out, run, nodes)
}

fn hours(run: &Run) -> f64 {
    run.scenario.duration.seconds() / 3600.0
}

fn print_compared(out: &mut impl Write, runs: &[Run]) -> anyhow::Result<()> {
    let summaries = runs
        .iter()
        .filter_map(|run| Some((run, run.node_summary()?)));
    let (mut nodes, mut removals) = (Vec::new(), Vec::new());
    for (run, summary) in summaries {
        nodes.push((run, figures::node_cells(&summary)));
        if let Some(summary) = &summary.removals {
            removals.push((run, figures::removal_cells(summary)));
        }
    }
    print_rows(out, figures::NODE_COLUMNS, nodes)?;
    print_rows(out, figures::REMOVAL_COLUMNS, removals)
}

/// Prints a table with a row for each run. Prints nothing if there is none.
fn print_rows<const N: usize>(
    out: &mut impl Write,
    columns: [Column<'_>; N],
    rows: Vec<(&Run, [String; N])>,
) -> anyhow::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let headings = columns.map(|column| format!(">{}", column.heading.to_uppercase()));
    let headings: Vec<&str> = std::iter::once("POLICY")
        .chain(headings.iter().map(String::as_str))
        .collect();
    let mut table = Table::new(&headings);
    for (run, cells) in rows {
        table.row(std::iter::once(run.label.clone()).chain(cells));
    }
    write!(out, "\n{table}")?;
    Ok(())
}

fn groups(nodes: &NodesRun) -> Table {
    let headings = [
        "NODE GROUP",
        ">SIZE",
        ">READY",
        ">MOST",
        ">NODE-HOURS",
        ">COST",
    ];
    let mut table = Table::new(&headings);
    for group in &nodes.fleet.groups {
        let cost = group.cost();
        table.row([
            group.name.to_string(),
            format!("{} to {}", group.min, group.max),
            format!("{} → {}", group.first, group.last),
            group.most.to_string(),
            format!("{:.1}", group.paid_hours),
            cost.map_or("–".to_owned(), |cost| format!("{cost:.2}")),
        ]);
    }
    table
}

/// Prints the documents of the first decisions, at the time since the start of the run.
fn print_decisions(out: &mut impl Write, run: &Run, nodes: &NodesRun) -> anyhow::Result<()> {
    let decisions = &nodes.journal.decisions;
    for record in decisions.iter().take(MAX_DECISIONS) {
        let time = elapsed_text(run.since_start(record.at));
        let text = record.document().text_at(&time, output::printer());
        write!(out, "\n{text}")?;
    }
    if decisions.len() > MAX_DECISIONS {
        let more = decisions.len() - MAX_DECISIONS;
        let more = format!("… and {more} more decisions: see the report");
        writeln!(out, "\n{}", styled(DIM, more))?;
    }
    Ok(())
}

/// Returns the nodes of a run as JSON; null if there are none.
pub fn to_json(run: &Run) -> Value {
    let (Some(nodes), Some(summary)) = (&run.nodes, run.node_summary()) else {
        return Value::Null;
    };
    let group = |group: &GroupHistory| {
        json!({
            "name": group.name,
            "min": group.min,
            "max": group.max,
            "price": group.price,
            "first": group.first,
            "last": group.last,
            "most": group.most,
            "nodeHours": group.paid_hours,
            "cost": group.cost(),
        })
    };
    let mut json = json!({
        "mostNodes": summary.most_nodes,
        "nodeHours": summary.node_hours,
        "cost": summary.cost,
        "orders": summary.orders,
        "mostPending": summary.most_pending,
        "pendingHours": summary.pending_hours,
        "groups": nodes.fleet.groups.iter().map(group).collect::<Vec<_>>(),
        "decisions": nodes.journal.decisions,
    });
    if let Some(removals) = &summary.removals {
        json["removals"] = json!({
            "nodes": removals.nodes,
            "podsMovedPerNode": removals.moved_per_node,
            "evictionsPerHour": removals.evictions_per_hour,
            "drainsTakenBack": removals.taken_back,
            "podsPending": removals.pending,
            "podsLost": removals.lost,
        });
    }
    json
}
