//! What is kept of a run: a timeline for the plots, and a tally of every step
//! for the summary.

mod nodes;

use crate::scenario::Scenario;
use crate::time::Millis;

pub(crate) use nodes::GroupGauge;
pub use nodes::{Fleet, GroupHistory};

/// Most points of a timeline.
const MOST_POINTS: i64 = 1440;

/// How far above its target a utilization is left alone: the tolerance of
/// HorizontalPodAutoscaler.
const TOLERANCE: f64 = 1.1;

/// A workload in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gauge {
    /// Length of the step.
    pub(crate) seconds: f64,
    /// Requests that came in.
    pub(crate) offered: f64,
    /// Requests served.
    pub(crate) served: f64,
    /// Requests turned away.
    pub(crate) unserved: f64,
    /// Requests that could have been served.
    pub(crate) capacity: f64,
    /// Pods that would serve the load on target.
    pub(crate) demand: f64,
    /// Desired replicas.
    pub(crate) desired: i32,
    /// spec.replicas.
    pub(crate) replicas: i32,
    /// Pods that are Ready.
    pub(crate) ready: i32,
    /// Mean use of cpu over the request of the Ready pods. `None` if there is no Ready
    /// pod.
    pub(crate) utilization: Option<f64>,
}

/// A workload over time: columns with one row for each interval, means over it,
/// or where pods are counted their number at its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Length of an interval.
    pub interval: Millis,
    /// Beginning of the interval, in milliseconds since the start.
    pub at_ms: Vec<i64>,
    /// Requests per second that came in.
    pub load: Vec<f64>,
    /// Requests per second served.
    pub served: Vec<f64>,
    /// Requests per second turned away.
    pub unserved: Vec<f64>,
    /// Requests per second that could have been served.
    pub capacity: Vec<f64>,
    /// Pods that would serve the load on target.
    pub demand: Vec<f64>,
    /// Desired replicas, as last decided.
    pub desired: Vec<f64>,
    /// spec.replicas.
    pub replicas: Vec<f64>,
    /// Pods that are Ready.
    pub ready: Vec<f64>,
    /// Mean use of cpu over the request of the Ready pods.
    pub utilization: Vec<f64>,
    /// Steps in the last interval, so far.
    steps: u32,
}

impl Timeline {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let shortest = (scenario.duration.0 / MOST_POINTS).max(scenario.sync_period.0);
        let steps = (shortest + scenario.step.0 - 1) / scenario.step.0;
        Self {
            interval: Millis(steps * scenario.step.0),
            ..Self::default()
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.at_ms.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at_ms.is_empty()
    }

    /// Adds a step that begins at `at_ms` since the start.
    pub(crate) fn add(&mut self, at_ms: i64, gauge: &Gauge) {
        let begin = at_ms - at_ms % self.interval.0;
        if self.at_ms.last() != Some(&begin) {
            self.at_ms.push(begin);
            self.steps = 0;
        }
        self.steps += 1;
        let seconds = gauge.seconds;
        let means = [
            (&mut self.load, gauge.offered / seconds),
            (&mut self.served, gauge.served / seconds),
            (&mut self.unserved, gauge.unserved / seconds),
            (&mut self.capacity, gauge.capacity / seconds),
            (&mut self.demand, gauge.demand),
            (&mut self.utilization, gauge.utilization.unwrap_or(0.0)),
        ];
        for (column, value) in means {
            column.resize(self.at_ms.len(), 0.0);
            if let Some(mean) = column.last_mut() {
                *mean += (value - *mean) / f64::from(self.steps);
            }
        }
        let counts = [
            (&mut self.desired, gauge.desired),
            (&mut self.replicas, gauge.replicas),
            (&mut self.ready, gauge.ready),
        ];
        for (column, count) in counts {
            column.resize(self.at_ms.len(), 0.0);
            if let Some(last) = column.last_mut() {
                *last = f64::from(count);
            }
        }
    }

    /// Several workloads as one: what adds up is added, utilization is the mean
    /// over Ready pods.
    pub(crate) fn sum<'a>(timelines: impl Iterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        for timeline in timelines {
            if total.is_empty() {
                total = timeline.clone();
                total.utilization = used(timeline);
                continue;
            }
            let columns = [
                (&mut total.load, &timeline.load),
                (&mut total.served, &timeline.served),
                (&mut total.unserved, &timeline.unserved),
                (&mut total.capacity, &timeline.capacity),
                (&mut total.demand, &timeline.demand),
                (&mut total.desired, &timeline.desired),
                (&mut total.replicas, &timeline.replicas),
                (&mut total.ready, &timeline.ready),
                (&mut total.utilization, &used(timeline)),
            ];
            for (sum, column) in columns {
                sum.iter_mut()
                    .zip(column)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
        let means = total.utilization.iter_mut().zip(&total.ready);
        means.for_each(|(used, ready)| *used = if *ready > 0.0 { *used / ready } else { 0.0 });
        total
    }
}

/// Utilization times Ready pods.
fn used(timeline: &Timeline) -> Vec<f64> {
    let rows = timeline.utilization.iter().zip(&timeline.ready);
    rows.map(|(utilization, ready)| utilization * ready)
        .collect()
}

/// Every step of a workload, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Requests that came in.
    pub offered: f64,
    /// Requests served.
    pub served: f64,
    /// Requests turned away.
    pub unserved: f64,
    /// Seconds that utilization was above its target by more than a tenth. `None` if the
    /// autoscaler has no target for cpu.
    pub above_target_seconds: Option<f64>,
    /// The target, as a part of the request, if there is one (the latest).
    pub target: Option<f64>,
    /// Seconds times spec.replicas.
    pub replica_seconds: f64,
    /// Changes of spec.replicas.
    pub changes: u64,
    /// The largest change of spec.replicas.
    pub biggest_swing: i64,
    /// The most replicas.
    pub most_replicas: i32,
    /// How long cpu was used to which part of the request.
    pub utilization: Histogram,
    last_step: f64,
}

impl Tally {
    pub(crate) fn add(&mut self, gauge: &Gauge, target: Option<f64>) {
        self.offered += gauge.offered;
        self.served += gauge.served;
        self.unserved += gauge.unserved;
        self.replica_seconds += f64::from(gauge.replicas) * gauge.seconds;
        self.most_replicas = self.most_replicas.max(gauge.replicas);
        self.target = target;
        if target.is_some() {
            self.above_target_seconds.get_or_insert(0.0);
        }
        self.last_step = gauge.seconds;
        // Without Ready pods, load is as far above its target as can be.
        let utilization = gauge
            .utilization
            .or((gauge.offered > 0.0).then_some(f64::INFINITY));
        if let Some(utilization) = utilization {
            self.utilization.add(utilization, gauge.seconds);
            let above = target.is_some_and(|target| utilization > TOLERANCE * target);
            if let Some(sum) = self.above_target_seconds.as_mut().filter(|_| above) {
                *sum += gauge.seconds;
            }
        }
    }

    pub(crate) fn change(&mut self, by: i64) {
        if by != 0 {
            self.changes += 1;
            self.biggest_swing = self.biggest_swing.max(by.abs());
        }
    }

    pub(crate) fn last_step_seconds(&self) -> f64 {
        if self.last_step > 0.0 {
            self.last_step
        } else {
            1.0
        }
    }

    /// Several workloads as one: times and counts add up, a target they don't
    /// share is none.
    pub(crate) fn sum<'a>(tallies: impl Iterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        let mut targets = Vec::new();
        for tally in tallies {
            total.offered += tally.offered;
            total.served += tally.served;
            total.unserved += tally.unserved;
            if let Some(seconds) = tally.above_target_seconds {
                *total.above_target_seconds.get_or_insert(0.0) += seconds;
            }
            total.replica_seconds += tally.replica_seconds;
            total.changes += tally.changes;
            total.biggest_swing = total.biggest_swing.max(tally.biggest_swing);
            total.most_replicas = total.most_replicas.saturating_add(tally.most_replicas);
            total.utilization.merge(&tally.utilization);
            targets.push(tally.target);
        }
        let first = targets.first().copied().flatten();
        total.target = first.filter(|_| targets.iter().all(|target| *target == first));
        total
    }
}

/// Time by utilization, in bins of one percent of the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    seconds: Vec<f64>,
}

impl Histogram {
    /// Bins; the last one takes what is beyond.
    const BINS: usize = 1001;

    fn add(&mut self, utilization: f64, seconds: f64) {
        // A float becomes an integer saturating.
        let bin = ((utilization * 100.0).round() as usize).min(Self::BINS - 1);
        if self.seconds.len() <= bin {
            self.seconds.resize(bin + 1, 0.0);
        }
        self.seconds[bin] += seconds;
    }

    fn merge(&mut self, other: &Self) {
        if self.seconds.len() < other.seconds.len() {
            self.seconds.resize(other.seconds.len(), 0.0);
        }
        let bins = self.seconds.iter_mut().zip(&other.seconds);
        bins.for_each(|(sum, seconds)| *sum += seconds);
    }

    /// The utilization in percent that is not exceeded for this part of the time.
    #[must_use]
    pub fn percentile(&self, part: f64) -> Option<usize> {
        let total: f64 = self.seconds.iter().sum();
        let mut passed = 0.0;
        self.seconds.iter().position(|seconds| {
            passed += seconds;
            total > 0.0 && passed >= part * total
        })
    }
}
