//! The nodes of a run: charts and figures.

use super::body;
use super::plots::{self, Rows, curve};
use crate::chart::{self, Chart, Mark, Style};
use crate::figures::{self, Column, columns};
use crate::html::{self, Text, legend};
use crate::text::figure;
use flyball_simulation::Fleet;
use flyball_simulation::time::elapsed_text;
use flyball_simulation::{NodesRun, Run};

/// Maximum number of orders marked in the charts: more would hide the curves.
const MAX_MARKS: usize = 12;

/// Number of curves besides those of the groups.
const OTHER_CURVES: usize = 3;

/// Columns of the table of node groups.
const GROUPS: [Column<'static>; 7] = columns([
    ("node group", "name of the group"),
    ("size", "its minimum and maximum, in nodes"),
    ("price per hour", "price of one node"),
    (
        "Ready, start → end",
        "Ready nodes at the start and at the end of the run",
    ),
    ("most", "the largest number of Ready nodes"),
    ("node-hours", "hours of instances that are paid"),
    ("cost", "their cost, in the unit of the prices"),
]);

/// Renders the nodes of one run. Empty if it has none.
pub fn of_run(run: &Run, views: usize) -> String {
    let Some(nodes) = &run.nodes else {
        return String::new();
    };
    let fleet = &nodes.fleet;
    let mut html = String::from("<h2>Nodes</h2>\n");
    html += &groups(fleet);
    html += &removals(&[(run, nodes)]);
    let points = plots::points(views, fleet.groups.len() + OTHER_CURVES);
    let rows = Rows::new(&fleet.at_ms, run, points);
    let marks = marks(run, nodes);
    html += &chart::list(&marks);
    for chart in charts(fleet, &rows, &marks) {
        html += &chart.html();
    }
    html
}

fn charts<'a>(fleet: &'a Fleet, rows: &'a Rows, marks: &'a [Mark]) -> Vec<Chart<'a>> {
    let ready = fleet.groups.iter().enumerate().map(|(number, group)| {
        let colour = 1 + number % 7;
        curve(&group.name, colour, Style::Stack, rows.last(&group.ready))
    });
    let ordered = rows.last(&fleet.ordered());
    let ordered = curve("ordered", 0, Style::Steps, ordered).dashed(1);
    let pending = rows.most(&fleet.pending);
    let pending = vec![curve("pending", 3, Style::Stack, pending)];
    let mut charts = vec![
        rows.chart(
            ("Nodes", "Ready, and ordered in all"),
            ready.chain([ordered]).collect(),
            None,
            marks,
        ),
        rows.chart(("Pending pods", "waiting for a node"), pending, None, marks),
    ];
    if fleet.has_prices() {
        let cost = rows.mean(&fleet.cost_per_hour);
        let cost = vec![curve("cost", 4, Style::Area, cost)];
        charts.push(rows.chart(("Cost", "per hour"), cost, None, marks));
    }
    charts
}

/// Returns marks at the orders of nodes. The first decision of a new version of an
/// expander names it.
fn marks(run: &Run, nodes: &NodesRun) -> Vec<Mark> {
    let decisions = nodes.journal.decisions.iter();
    let ordering = decisions.filter(|record| !record.verdict.orders.is_empty());
    let marks = ordering.map(|record| {
        let orders = record.verdict.orders.iter();
        let orders: Vec<String> = orders
            .map(|order| format!("+{} {}", order.to.saturating_sub(order.from), order.group))
            .collect();
        let mut changes = nodes.journal.uses.changes.iter();
        let change = changes.find(|change| change.at == record.at);
        let expander = change.map(|change| {
            let (name, digest) = (&change.to.name, change.to.short_digest());
            format!("{name} {digest}: ")
        });
        Mark {
            minutes: run.since_start(record.at) as f64 / 60_000.0,
            label: format!(
                "{} {}",
                elapsed_text(run.since_start(record.at)),
                expander.unwrap_or_default() + &orders.join(", ")
            ),
        }
    });
    let marks: Vec<Mark> = marks.collect();
    if marks.len() > MAX_MARKS {
        return Vec::new();
    }
    marks
}

/// Renders a table of the node groups.
fn groups(fleet: &Fleet) -> String {
    let unknown = || "–".to_owned();
    let row = |group: &flyball_simulation::GroupHistory| {
        vec![
            Text(&group.name).to_string(),
            format!("{} to {}", group.min, group.max),
            group.price.map_or_else(unknown, figure),
            format!("{} → {}", group.first, group.last),
            group.most.to_string(),
            format!("{:.1}", group.paid_hours),
            group
                .cost()
                .map_or_else(unknown, |cost| format!("{cost:.2}")),
        ]
    };
    let rows: Vec<_> = fleet.groups.iter().map(row).collect();
    html::figures(&GROUPS, &rows, 1) + &legend(&GROUPS)
}

/// Renders a table of the removals of each run. Empty if scale-down is off in all of them.
fn removals(runs: &[(&Run, &NodesRun)]) -> String {
    let row = |(run, _): &(&Run, &NodesRun)| {
        let removals = run.node_summary()?.removals?;
        let label = Text(&run.label).to_string();
        let cells = figures::removal_cells(&removals);
        Some(std::iter::once(label).chain(cells).collect())
    };
    let rows: Vec<Vec<String>> = runs.iter().filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = body::after("run", &figures::REMOVAL_COLUMNS);
    html::figures(&columns, &rows, 1) + &legend(&figures::REMOVAL_COLUMNS)
}

/// Renders the nodes of several runs in common charts. Empty if they have none.
pub fn of_runs(runs: &[Run]) -> String {
    let with_nodes = runs
        .iter()
        .filter_map(|run| Some((run, run.nodes.as_ref()?)));
    let with_nodes: Vec<(&Run, &NodesRun)> = with_nodes.collect();
    let Some((run, first)) = with_nodes.first() else {
        return String::new();
    };
    let mut html = String::from("<h2>Nodes</h2>\n");
    let cells = |(run, _): &(&Run, &NodesRun)| {
        let summary = run.node_summary()?;
        let label = Text(&run.label).to_string();
        Some(
            std::iter::once(label)
                .chain(figures::node_cells(&summary))
                .collect(),
        )
    };
    let figures: Vec<Vec<String>> = with_nodes.iter().filter_map(cells).collect();
    let columns = body::after("run", &figures::NODE_COLUMNS);
    html += &html::figures(&columns, &figures, 1);
    html += &legend(&figures::NODE_COLUMNS);
    html += &removals(&with_nodes);
    let points = plots::points(1, OTHER_CURVES * runs.len());
    let rows = Rows::new(&first.fleet.at_ms, run, points);
    let each = |column: fn(&Rows, &Fleet) -> Vec<f64>, style: Style| {
        let numbered = with_nodes.iter().enumerate();
        let curves = numbered.map(|(number, (run, nodes))| {
            curve(
                &run.label,
                1 + number % 7,
                style,
                column(&rows, &nodes.fleet),
            )
            .dashed(number)
        });
        curves.collect::<Vec<_>>()
    };
    let ready = each(|rows, fleet| rows.last(&fleet.ready()), Style::Steps);
    let pending = each(|rows, fleet| rows.most(&fleet.pending), Style::Steps);
    let cost = each(|rows, fleet| rows.mean(&fleet.cost_per_hour), Style::Line);
    let charts = [
        rows.chart(("Nodes", "Ready"), ready, None, &[]),
        rows.chart(("Pending pods", "waiting for a node"), pending, None, &[]),
        rows.chart(("Cost", "per hour"), cost, None, &[]),
    ];
    html + &charts.iter().map(Chart::html).collect::<String>()
}
