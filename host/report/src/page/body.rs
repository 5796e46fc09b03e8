//! The page around the charts: heading, figures, policies and decisions.

use flyball_decision::policy::PolicyVersion;
use flyball_decision::text::counted;

use super::plots::{self, View};
use super::{node_charts, node_decisions};
use crate::chart::{self, Mark};
use crate::figures::{self, Column, columns};
use crate::html::{self, Text, legend, sentences};
use flyball_simulation::Decision;
use flyball_simulation::Run;
use flyball_simulation::Summary;
use flyball_simulation::time::elapsed_text;

pub fn page(runs: &[Run]) -> String {
    let Some(first) = runs.first() else {
        return String::new();
    };
    let name = Text(&first.scenario.name);
    let body = match runs {
        [run] => one(run),
        _ => several(runs),
    };
    format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\n\
         <title>{name} · Flyball</title>\n<style>\n{}{}</style>\n</head>\n<body>\n\
         <header><p class=brand>Flyball simulation</p><h1>{name}</h1>\n{}</header>\n\
         {body}<script>\n{}</script>\n</body>\n</html>\n",
        include_str!("style.css"),
        if first.nodes.is_some() {
            include_str!("nodes.css")
        } else {
            ""
        },
        facts(first),
        include_str!("script.js"),
    )
}

fn facts(run: &Run) -> String {
    let scenario = &run.scenario;
    let count = run.workloads.len();
    let facts = [
        ("seed", scenario.seed.to_string()),
        ("virtual time", scenario.duration.to_string()),
        ("from", scenario.start.to_rfc3339()),
        ("sync period", scenario.sync_period.to_string()),
        ("workloads", count.to_string()),
        ("flyball", run.host_version.to_string()),
    ];
    let fact = |(name, value): &(&str, String)| {
        format!("<span><small>{name}</small> {}</span>", Text(value))
    };
    let facts: String = facts.iter().map(fact).collect();
    format!("<p class=facts>{facts}</p>\n")
}

fn one(run: &Run) -> String {
    let chosen = plots::chosen(run);
    let views = 1 + chosen.len();
    let marks = marks(run);
    let mut html = summary(std::slice::from_ref(run));
    html += &policies(run);
    let total = View::total(run);
    html += &format!("<h2>{}</h2>\n", Text(&total.title));
    html += &chart::list(&marks);
    html += &plots::of_run(&total, run, views, &marks);
    html += &node_charts::of_run(run, views);
    if !chosen.is_empty() && chosen.len() < run.workloads.len() {
        html += "<p>Of the workloads, these left most of their load unserved.</p>\n";
    }
    for workload in chosen {
        let view = View::workload(workload);
        html += &format!("<h2>{}</h2>\n", Text(&view.title));
        html += &plots::of_run(&view, run, views, &marks);
    }
    html += "<h2>Decisions</h2>\n";
    html += &decisions(run);
    html += &node_decisions::html(run);
    if run.workloads.len() > 1 {
        html += "<details><summary>Figures of each workload</summary>\n";
        let rows: Vec<_> = run.workload_summaries().map(|row| cells(&row)).collect();
        html += &html::figures(&after("workload", &figures::COLUMNS), &rows, 1);
        html += "</details>\n";
    }
    html
}

fn several(runs: &[Run]) -> String {
    let views: Vec<View> = runs.iter().map(View::total).collect();
    let mut html = summary(runs);
    let title = views.first().map_or("", |view| view.title.as_str());
    html += &format!("<h2>{}</h2>\n", Text(title));
    html += &plots::of_runs(&views, runs);
    html += &node_charts::of_runs(runs);
    for run in runs {
        html += &format!("<h2>{}</h2>\n", Text(&run.label));
        html += &policies(run);
        html += "<details><summary>Decisions</summary>\n";
        html += &decisions(run);
        html += &node_decisions::html(run);
        html += "</details>\n";
    }
    html
}

/// Returns these columns after one that names the rows.
pub(super) fn after<'a>(first: &'a str, columns: &[Column<'a>]) -> Vec<Column<'a>> {
    let first = Column {
        heading: first,
        meaning: "",
    };
    [&[first], columns].concat()
}

fn cells(summary: &Summary) -> Vec<String> {
    let label = Text(&summary.label).to_string();
    let figures = figures::cells(summary);
    let figures = figures.iter().map(|cell| Text(cell).to_string());
    std::iter::once(label).chain(figures).collect()
}

fn summary(runs: &[Run]) -> String {
    let rows: Vec<_> = runs.iter().map(|run| cells(&run.summary())).collect();
    html::figures(&after("run", &figures::COLUMNS), &rows, 1) + &legend(&figures::COLUMNS)
}

/// Columns of the table of policies.
const POLICIES: [Column<'static>; 6] = columns([
    ("policy", "name, and the start of the digest of its file"),
    ("version", "version that the policy states"),
    ("first", "time of its first answer since the start"),
    ("last", "time of its last answer since the start"),
    ("answers", "answers that the host took"),
    ("failures", "decisions without a usable answer"),
]);

/// Columns of the table of decisions; the object only if there are several workloads.
const DECISIONS: [Column<'static>; 5] = columns([
    ("time", "time since the start"),
    ("object", "name of the ReplicaAutoscaler"),
    (
        "replicas",
        "spec.replicas before and after; hold: the policies made no proposal",
    ),
    ("policy", "policies that were asked"),
    (
        "reason",
        "code and sentence of the policy that prevailed, then what the guardrails changed",
    ),
]);

/// Renders which policies decided, and when they changed.
fn policies(run: &Run) -> String {
    let row = |used: &flyball_simulation::PolicyUse| {
        let since = |at| elapsed_text(run.since_start(at));
        vec![
            named(&used.version),
            Text(&used.version.version).to_string(),
            since(used.first),
            since(used.last),
            used.answers.to_string(),
            used.failures.to_string(),
        ]
    };
    let expanders = run
        .nodes
        .iter()
        .flat_map(|nodes| &nodes.journal.uses.versions);
    let versions = run.journal.uses.versions.iter().chain(expanders);
    let rows: Vec<_> = versions.map(row).collect();
    let mut html = html::figures(&POLICIES, &rows, 2) + &legend(&POLICIES);
    for unread in run.journal.unread_metrics() {
        html += &format!("<p class=bad>{}</p>\n", Text(&unread));
    }
    for (swap, outcome) in &run.swaps {
        if let Err(error) = outcome {
            html += &format!(
                "<p class=bad>{}: {} did not take over: {}</p>\n",
                elapsed_text(run.since_start(swap.at)),
                Text(&swap.file.display().to_string()),
                Text(error)
            );
        }
    }
    html
}

pub(super) fn named(version: &PolicyVersion) -> String {
    let (name, digest) = (Text(&version.name), Text(version.short_digest()));
    let full = Text(&version.digest);
    format!("{name} <code title=\"{full}\">{digest}</code>")
}

fn marks(run: &Run) -> Vec<Mark> {
    let changes = run.journal.uses.changes.iter();
    changes
        .map(|change| Mark {
            minutes: run.since_start(change.at) as f64 / 60_000.0,
            label: format!(
                "{} {} {}",
                elapsed_text(run.since_start(change.at)),
                change.to.name,
                change.to.short_digest()
            ),
        })
        .collect()
}

fn decisions(run: &Run) -> String {
    let kept = &run.journal.decisions;
    let mut html = format!(
        "<p>{}. Below are the last {} that changed replicas, or that were the first to fail or to \
         hold them for their reason.</p>\n",
        counted(run.journal.count, "decision"),
        kept.len()
    );
    let several = run.workloads.len() > 1;
    let row = |decision: &Decision| {
        let mut cells = vec![elapsed_text(run.since_start(decision.at))];
        if several {
            cells.push(Text(&decision.object.name).to_string());
        }
        cells.extend([
            change(decision),
            Text(&decision.policies.join(", ")).to_string(),
            reason(decision),
        ]);
        cells
    };
    let rows: Vec<_> = kept.iter().rev().map(row).collect();
    let columns = DECISIONS.iter();
    let columns = columns.filter(|column| several || column.heading != "object");
    let columns: Vec<Column<'_>> = columns.copied().collect();
    html += &sentences(&columns, &rows);
    html += &legend(&columns);
    html
}

fn change(decision: &Decision) -> String {
    let number = |replicas: Option<i32>| replicas.map_or("–".to_owned(), |r| r.to_string());
    match decision.to {
        Some(_) => format!("{} → {}", number(decision.from), number(decision.to)),
        None => format!("{} (hold)", number(decision.from)),
    }
}

fn reason(decision: &Decision) -> String {
    let notes = decision.guardrails.iter().chain([&decision.remark]);
    let notes: String = notes
        .filter(|note| !note.is_empty())
        .map(|note| format!(" <small>{}</small>", Text(note)))
        .collect();
    let (code, sentence) = (Text(&decision.reason), Text(&decision.message));
    format!("<b>{code}</b> {sentence}{notes}")
}
