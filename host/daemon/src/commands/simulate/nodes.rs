//! Output of a run's nodes, on a terminal and as JSON.

use std::io::Write;

use flyball_nodes::record::{NodeDecisionRecord, Remaining, Round};
use flyball_report::{document, figures};
use flyball_simulation::time::elapsed_text;
use flyball_simulation::{GroupHistory, NodesRun, Run};
use serde_json::{Value, json};

use crate::output::{DIM, Table, WARNING, styled};

/// Maximum number of decisions listed on a terminal.
const MAX_DECISIONS: usize = 15;

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
    let headings = figures::NODE_COLUMNS.map(|heading| format!(">{}", heading.to_uppercase()));
    let headings: Vec<&str> = std::iter::once("POLICY")
        .chain(headings.iter().map(String::as_str))
        .collect();
    let mut table = Table::new(&headings);
    let mut some = false;
    for run in runs {
        if let Some(summary) = run.node_summary() {
            some = true;
            table.row(std::iter::once(run.label.clone()).chain(figures::node_cells(&summary)));
        }
    }
    if some {
        write!(out, "\n{table}")?;
    }
    print_compared_removals(out, runs)
}

fn print_compared_removals(out: &mut impl Write, runs: &[Run]) -> anyhow::Result<()> {
    let headings = figures::REMOVAL_COLUMNS.map(|heading| format!(">{}", heading.to_uppercase()));
    let headings: Vec<&str> = std::iter::once("POLICY")
        .chain(headings.iter().map(String::as_str))
        .collect();
    let mut table = Table::new(&headings);
    let mut some = false;
    for run in runs {
        if let Some(removals) = run.node_summary().and_then(|summary| summary.removals) {
            some = true;
            let label = std::iter::once(run.label.clone());
            table.row(label.chain(figures::removal_cells(&removals)));
        }
    }
    if some {
        write!(out, "\n{table}")?;
    }
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

fn print_decisions(out: &mut impl Write, run: &Run, nodes: &NodesRun) -> anyhow::Result<()> {
    let decisions = &nodes.journal.decisions;
    if decisions.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["TIME", ">PENDING", "ORDER", "CANDIDATES", "WHY"]);
    let shown = decisions.len().min(MAX_DECISIONS);
    for record in decisions.iter().take(shown) {
        let time = elapsed_text(record.at.since(run.scenario.start));
        for (number, [order, candidates, why]) in lines(record).into_iter().enumerate() {
            let (time, pending) = match number {
                0 => (time.clone(), record.pending.unschedulable.to_string()),
                _ => Default::default(),
            };
            table.row([time, pending, order, candidates, why]);
        }
    }
    write!(out, "\n{table}")?;
    if decisions.len() > shown {
        let more = format!("… and {} more: see the report", decisions.len() - shown);
        writeln!(out, "{}", styled(DIM, more))?;
    }
    Ok(())
}

/// Formats a decision in lines: its choices, incidents, and the pods that were left
/// without a node.
fn lines(record: &NodeDecisionRecord) -> Vec<[String; 3]> {
    let none = String::new;
    let rounds = record.rounds.iter().map(|round| {
        let orders = round.orders.iter();
        let orders: Vec<String> = orders
            .map(|order| {
                let (from, to, max) = (order.from, order.to, order.max);
                format!("{} {from}→{to} (max {max})", order.group)
            })
            .collect();
        [orders.join(", "), candidates(round), chosen_by(round)]
    });
    let incidents = record.incidents.iter().map(|incident| {
        let code = styled(WARNING, &incident.code).to_string();
        [none(), none(), format!("{code} {}", incident.message)]
    });
    let left_over = record
        .remaining
        .iter()
        .map(|class| [none(), none(), refused(class)]);
    let steps = record.scale_down.iter().flat_map(|part| &part.steps);
    let steps = steps.map(|step| {
        let text = format!("{} {}: {}", step.node, step.step, step.message);
        [none(), none(), text]
    });
    incidents
        .chain(rounds)
        .chain(left_over)
        .chain(steps)
        .collect()
}

/// Formats the pods that no order helps, and the reasons.
fn refused(class: &Remaining) -> String {
    let pods = document::pods(&class.pods);
    let reasons: Vec<String> = class.reasons.iter().map(ToString::to_string).collect();
    format!("{pods}: fits nowhere: {}", reasons.join("; "))
}

/// Formats the options with the scores of the last expander that returned some.
fn candidates(round: &Round) -> String {
    let options = &round.input.options;
    let scores = |row: u32| {
        let mut expanders = round.expanders.iter().rev();
        expanders.find_map(|part| document::score(part, row as usize))
    };
    let candidate = |row: u32| {
        let name = options.label(row as usize);
        let count = options.node_count.get(row as usize).copied();
        let mark = if round.choice.row == Some(row) {
            " ✓"
        } else {
            ""
        };
        let score = scores(row).map_or(String::new(), |score| format!(" {score:.3}"));
        format!("+{} {name}{score}{mark}", count.unwrap_or_default())
    };
    let rows = 0..u32::try_from(options.len()).unwrap_or(u32::MAX);
    let candidates = rows.map(candidate);
    candidates.collect::<Vec<_>>().join(", ")
}

/// Formats which expander chose, with the reason of the last one.
fn chosen_by(round: &Round) -> String {
    let Some(part) = round.expanders.last() else {
        return round.choice.message.clone();
    };
    match &part.answer {
        Ok(ranking) => format!("{}: {}", part.name, ranking.reason.sentence),
        Err(failure) => format!("{}: {failure}", part.name),
    }
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
