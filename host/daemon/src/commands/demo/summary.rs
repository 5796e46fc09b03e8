//! The end of the demo: figures of the day, what the swaps changed, and what to try next.

use std::env;
use std::io::Write;
use std::path::Path;

use flyball_decision::policy::PolicyVersion;
use flyball_decision::text;
use flyball_report::figures;
use flyball_simulation::Run;

use super::swap::Swap;
use super::tally::{ExpanderTally, ReplicaTally, Tally};
use crate::output::{self, Cell, DIM, POLICY, STRONG, Table, styled};

/// Prints the summary of a run with these swaps: of the policy, and of the expander.
pub fn print(
    run: &Run,
    [policy, expander]: &[Swap; 2],
    tally: &Tally,
    report: &Path,
) -> anyhow::Result<()> {
    let mut out = output::out();
    print_figures(&mut out, run)?;
    writeln!(out)?;
    let mut table = Table::new(&["SWAP", "BEFORE", "AFTER"]);
    let replicas = tally.replicas(policy.in_use, &policy.digest);
    add_versions(
        &mut table,
        policy,
        replicas.map(|each| Some(&*each?.version)),
    );
    add_row(&mut table, "decisions", replicas, |each| {
        output::count(each.decisions)
    });
    add_row(&mut table, "pods added", replicas, additions);
    let choices = tally.expanders(expander.in_use, &expander.digest);
    add_versions(
        &mut table,
        expander,
        choices.map(|each| Some(&*each?.version)),
    );
    add_row(&mut table, "orders", choices, |each| {
        each.orders.to_string()
    });
    add_row(&mut table, "nodes ordered", choices, nodes);
    writeln!(out, "{table}")?;
    let report = report.canonicalize().unwrap_or_else(|_| report.to_owned());
    writeln!(out, "{}  {}", styled(STRONG, "report"), report.display())?;
    print_next(&mut out)
}

fn print_figures(out: &mut impl Write, run: &Run) -> anyhow::Result<()> {
    let summary = run.summary();
    let [_, lost, ..] = figures::cells(&summary);
    writeln!(
        out,
        "\n{}     {:.1} million requests, {lost} lost; {:.0} pod-hours, at most {} pods",
        styled(STRONG, "day"),
        summary.offered / 1e6,
        summary.replica_hours,
        summary.most_replicas
    )?;
    if let Some(nodes) = run.node_summary() {
        let cost = nodes.cost.map(|cost| format!(" for {cost:.2}"));
        writeln!(
            out,
            "        {:.0} node-hours{}; {} orders, at most {:.0} nodes",
            nodes.node_hours,
            cost.unwrap_or_default(),
            nodes.orders,
            nodes.most_nodes
        )?;
    }
    Ok(())
}

fn add_versions(table: &mut Table, swap: &Swap, versions: [Option<&PolicyVersion>; 2]) {
    let names = [swap.in_use, &swap.source.name];
    let mut cells = vec![Cell::from(format!("{}.wasm", swap.in_use))];
    let versions = names.into_iter().zip(versions);
    cells.extend(versions.map(|(name, version)| {
        let digest = version.map_or("did not decide", PolicyVersion::short_digest);
        Cell::styled(POLICY, name).and(DIM, digest)
    }));
    table.row(cells);
}

fn add_row<T>(
    table: &mut Table,
    heading: &str,
    tallies: [Option<&T>; 2],
    text: impl Fn(&T) -> String,
) {
    let cells = tallies.map(|tally| tally.map_or_else(|| "–".to_owned(), &text));
    table.row([format!("  {heading}")].into_iter().chain(cells));
}

fn additions(tally: &ReplicaTally) -> String {
    let times = text::counted(tally.additions as usize, "time");
    match tally.mean_utilization() {
        Some(cpu) => format!("{times}, at {:.0}% cpu", cpu * 100.0),
        None => times,
    }
}

fn nodes(tally: &ExpanderTally) -> String {
    let groups = tally.nodes.iter();
    let groups: Vec<String> = groups
        .map(|(group, nodes)| format!("{nodes} {group}"))
        .collect();
    match groups.as_slice() {
        [] => "none".to_owned(),
        groups => groups.join(", "),
    }
}

fn print_next(out: &mut impl Write) -> anyhow::Result<()> {
    let program = program();
    let steps = [
        "policy new --kind expander thrifty",
        "policy build thrifty",
        "demo --swap-expander thrifty/target/thrifty.wasm",
    ];
    writeln!(
        out,
        "\n{}    with an expander of your own:\n",
        styled(STRONG, "next")
    )?;
    for step in steps {
        writeln!(out, "        {program} {step}")?;
    }
    Ok(())
}

/// Returns how this program is called in the current directory.
fn program() -> String {
    let called = env::args().next().unwrap_or_default();
    let here = env::current_dir().unwrap_or_default();
    let short = Path::new(&called).strip_prefix(here);
    short.map_or_else(|_| called.clone(), |path| path.display().to_string())
}
