//! The charts of a page: curves, number of points, and marks.

use crate::chart::{Chart, Curve, Mark, Style};
use flyball_simulation::{Run, WorkloadRun};
use flyball_simulation::{Tally, Timeline};

/// Number of curves of a view of one run.
const CURVES: usize = 10;

/// Maximum number of workloads with charts of their own.
pub const MAX_WORKLOADS: usize = 6;

/// A view with a timeline: a workload, or all of them.
pub struct View {
    /// Title.
    pub title: String,
    timeline: Timeline,
    target: Option<f64>,
}

impl View {
    /// Returns the view of all workloads of a run together.
    pub fn total(run: &Run) -> Self {
        let timelines = run.workloads.iter().map(|workload| &workload.timeline);
        let tallies = run.workloads.iter().map(|workload| &workload.tally);
        Self {
            title: match run.workloads.as_slice() {
                [only] => title(only),
                all => format!("all {} workloads", all.len()),
            },
            timeline: Timeline::sum(timelines),
            target: Tally::sum(tallies).target,
        }
    }

    /// Returns the view of one workload.
    pub fn workload(workload: &WorkloadRun) -> Self {
        Self {
            title: title(workload),
            timeline: workload.timeline.clone(),
            target: workload.tally.target,
        }
    }
}

fn title(workload: &WorkloadRun) -> String {
    format!("{}/{}", workload.key.namespace, workload.key.name)
}

/// Returns the workloads of a run that have charts of their own: all if they are few,
/// else those with the largest part of their load unserved.
pub fn chosen(run: &Run) -> Vec<&WorkloadRun> {
    let mut chosen: Vec<&WorkloadRun> = run.workloads.iter().collect();
    match chosen.len() {
        1 => return Vec::new(),
        count if count <= MAX_WORKLOADS => return chosen,
        _ => {}
    }
    // The sort is stable: without unserved load the scenario's order stays.
    chosen.sort_by(|a, b| unserved(b).total_cmp(&unserved(a)));
    chosen.truncate(MAX_WORKLOADS);
    chosen
}

fn unserved(workload: &WorkloadRun) -> f64 {
    let tally = &workload.tally;
    if tally.offered > 0.0 {
        tally.unserved / tally.offered
    } else {
        0.0
    }
}

/// Reduces a timeline's rows so that a page stays small.
pub(super) struct Rows {
    /// Number of rows that become one.
    group: usize,
    minutes: Vec<f64>,
    length: f64,
}

impl Rows {
    pub(super) fn new(at_ms: &[i64], run: &Run, points: usize) -> Self {
        let group = at_ms.len().div_ceil(points.max(1)).max(1);
        let times = at_ms.chunks(group);
        Self {
            group,
            minutes: times.map(|times| times[0] as f64 / 60_000.0).collect(),
            length: run.scenario.duration.0 as f64 / 60_000.0,
        }
    }

    pub(super) fn mean(&self, column: &[f64]) -> Vec<f64> {
        let chunks = column.chunks(self.group);
        chunks
            .map(|chunk| chunk.iter().sum::<f64>() / chunk.len() as f64)
            .collect()
    }

    /// For counts: takes the last row, so that it stays a whole number.
    pub(super) fn last(&self, column: &[f64]) -> Vec<f64> {
        let chunks = column.chunks(self.group);
        chunks.filter_map(|chunk| chunk.last().copied()).collect()
    }

    /// For values that must not be overlooked: takes the maximum.
    pub(super) fn most(&self, column: &[f64]) -> Vec<f64> {
        let chunks = column.chunks(self.group);
        chunks
            .map(|chunk| chunk.iter().copied().fold(0.0, f64::max))
            .collect()
    }

    fn percent(&self, column: &[f64]) -> Vec<f64> {
        let mean = self.mean(column).into_iter();
        mean.map(|value| value * 100.0).collect()
    }

    pub(super) fn chart<'a>(
        &'a self,
        (title, unit): (&'a str, &'a str),
        curves: Vec<Curve<'a>>,
        level: Option<(f64, &'a str)>,
        marks: &'a [Mark],
    ) -> Chart<'a> {
        Chart {
            title,
            unit,
            minutes: &self.minutes,
            length: self.length,
            curves,
            level,
            marks,
        }
    }
}

pub(super) fn curve(name: &str, colour: usize, style: Style, values: Vec<f64>) -> Curve<'_> {
    Curve {
        name,
        colour,
        style,
        dash: 0,
        values,
    }
}

/// Returns the number of points of a curve on a page with this number of views.
pub fn points(views: usize, curves: usize) -> usize {
    (super::POINTS / (views * curves).max(1)).clamp(100, 720)
}

/// Renders the charts of one run.
pub fn of_run(view: &View, run: &Run, views: usize, marks: &[Mark]) -> String {
    let timeline = &view.timeline;
    let rows = Rows::new(&timeline.at_ms, run, points(views, CURVES));
    let target = view.target.map(|target| (target * 100.0, "target"));
    let load = vec![
        curve("load", 0, Style::Backdrop, rows.mean(&timeline.load)),
        curve("capacity", 2, Style::Line, rows.mean(&timeline.capacity)),
        curve("served", 1, Style::Line, rows.mean(&timeline.served)),
    ];
    let pods = vec![
        curve("ready", 2, Style::Stack, rows.last(&timeline.ready)),
        curve("desired", 4, Style::WideSteps, rows.last(&timeline.desired)),
        curve("replicas", 1, Style::Steps, rows.last(&timeline.replicas)),
        curve("demand", 0, Style::Line, rows.mean(&timeline.demand)).dashed(1),
    ];
    let used = rows.percent(&timeline.utilization);
    let used = vec![curve("utilization", 1, Style::Line, used)];
    let unserved = rows.mean(&timeline.unserved);
    let unserved = vec![curve("lost", 3, Style::Area, unserved)];
    [
        rows.chart(("Load", "requests/s"), load, None, marks),
        rows.chart(("Replicas", "pods"), pods, None, marks),
        rows.chart(("Utilization", "% of cpu request"), used, target, marks),
        rows.chart(("Requests lost", "requests/s"), unserved, None, marks),
    ]
    .iter()
    .map(Chart::html)
    .collect()
}

/// Renders the charts of several runs, with the runs as curves.
pub fn of_runs(views: &[View], runs: &[Run]) -> String {
    let Some((first, run)) = views.first().zip(runs.first()) else {
        return String::new();
    };
    let rows = Rows::new(&first.timeline.at_ms, run, points(1, 4 * runs.len()));
    let each = |column: fn(&Rows, &Timeline) -> Vec<f64>, style: Style| {
        let numbered = runs.iter().zip(views).enumerate();
        let curves = numbered.map(|(number, (run, view))| {
            let values = column(&rows, &view.timeline);
            curve(&run.label, 1 + number % 7, style, values).dashed(number)
        });
        curves.collect::<Vec<_>>()
    };
    let capacity = each(|rows, timeline| rows.mean(&timeline.capacity), Style::Line);
    let load = curve("load", 0, Style::Backdrop, rows.mean(&first.timeline.load));
    let replicas = each(|rows, timeline| rows.last(&timeline.replicas), Style::Steps);
    let demand = curve(
        "demand",
        0,
        Style::Backdrop,
        rows.mean(&first.timeline.demand),
    );
    let used = each(
        |rows, timeline| rows.percent(&timeline.utilization),
        Style::Line,
    );
    let unserved = each(|rows, timeline| rows.mean(&timeline.unserved), Style::Line);
    let target = first.target.map(|target| (target * 100.0, "target"));
    let with = |first, rest: Vec<_>| [vec![first], rest].into_iter().flatten().collect();
    [
        rows.chart(
            ("Load and capacity", "requests/s"),
            with(load, capacity),
            None,
            &[],
        ),
        rows.chart(
            ("Demand and replicas", "pods"),
            with(demand, replicas),
            None,
            &[],
        ),
        rows.chart(("Utilization", "% of cpu request"), used, target, &[]),
        rows.chart(("Requests lost", "requests/s"), unserved, None, &[]),
    ]
    .iter()
    .map(Chart::html)
    .collect()
}
