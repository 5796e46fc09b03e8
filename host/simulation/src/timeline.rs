//! History of a run's workloads: a timeline for the plots, and sums over every step for
//! the summary.

mod fleet;
mod removals;

use crate::scenario::Scenario;
use crate::time::Millis;

pub(crate) use fleet::GroupSample;
pub use fleet::{Fleet, GroupHistory};
pub use removals::{Removals, RemovedNode};

/// Maximum number of points of a timeline.
const MAX_POINTS: i64 = 1440;

/// Utilization relative to its target up to which it counts as on target: the tolerance
/// of HorizontalPodAutoscaler.
const TOLERANCE: f64 = 1.1;

/// Measurements of a workload in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StepSample {
    /// Length of the step.
    pub(crate) seconds: f64,
    /// Number of requests.
    pub(crate) offered: f64,
    /// Number of requests served.
    pub(crate) served: f64,
    /// Number of requests not served.
    pub(crate) unserved: f64,
    /// Number of requests that could have been served.
    pub(crate) capacity: f64,
    /// Number of pods that would serve the load at the target.
    pub(crate) demand: f64,
    /// Desired replicas.
    pub(crate) desired: i32,
    /// spec.replicas.
    pub(crate) replicas: i32,
    /// Number of Ready pods.
    pub(crate) ready: i32,
    /// Mean cpu usage of the Ready pods as a part of their request. `None` if there is no
    /// Ready pod.
    pub(crate) utilization: Option<f64>,
}

/// A workload over time: columns with one row for each interval. Values are means over
/// the interval, numbers of pods those at its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Length of an interval.
    pub interval: Millis,
    /// Beginning of the interval, in milliseconds since the start.
    pub at_ms: Vec<i64>,
    /// Requests per second.
    pub load: Vec<f64>,
    /// Requests per second served.
    pub served: Vec<f64>,
    /// Requests per second not served.
    pub unserved: Vec<f64>,
    /// Requests per second that could have been served.
    pub capacity: Vec<f64>,
    /// Number of pods that would serve the load at the target.
    pub demand: Vec<f64>,
    /// Desired replicas, as last decided.
    pub desired: Vec<f64>,
    /// spec.replicas.
    pub replicas: Vec<f64>,
    /// Number of Ready pods.
    pub ready: Vec<f64>,
    /// Mean cpu usage of the Ready pods as a part of their request.
    pub utilization: Vec<f64>,
    /// Number of steps in the last interval so far.
    steps: u32,
}

impl Timeline {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let shortest = (scenario.duration.0 / MAX_POINTS).max(scenario.sync_period.0);
        let steps = (shortest + scenario.step.0 - 1) / scenario.step.0;
        Self {
            interval: Millis(steps * scenario.step.0),
            ..Self::default()
        }
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.at_ms.len()
    }

    /// Reports whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at_ms.is_empty()
    }

    /// Adds a step that begins at `at_ms` since the start.
    pub(crate) fn add(&mut self, at_ms: i64, sample: &StepSample) {
        let begin = at_ms - at_ms % self.interval.0;
        if self.at_ms.last() != Some(&begin) {
            self.at_ms.push(begin);
            self.steps = 0;
        }
        self.steps += 1;
        let seconds = sample.seconds;
        let means = [
            (&mut self.load, sample.offered / seconds),
            (&mut self.served, sample.served / seconds),
            (&mut self.unserved, sample.unserved / seconds),
            (&mut self.capacity, sample.capacity / seconds),
            (&mut self.demand, sample.demand),
            (&mut self.utilization, sample.utilization.unwrap_or(0.0)),
        ];
        for (column, value) in means {
            column.resize(self.at_ms.len(), 0.0);
            if let Some(mean) = column.last_mut() {
                *mean += (value - *mean) / f64::from(self.steps);
            }
        }
        let counts = [
            (&mut self.desired, sample.desired),
            (&mut self.replicas, sample.replicas),
            (&mut self.ready, sample.ready),
        ];
        for (column, count) in counts {
            column.resize(self.at_ms.len(), 0.0);
            if let Some(last) = column.last_mut() {
                *last = f64::from(count);
            }
        }
    }

    /// Combines several workloads: additive columns are summed, utilization is the mean
    /// over Ready pods.
    #[must_use]
    pub fn sum<'a>(timelines: impl Iterator<Item = &'a Self>) -> Self {
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

/// Returns utilization times Ready pods.
fn used(timeline: &Timeline) -> Vec<f64> {
    let rows = timeline.utilization.iter().zip(&timeline.ready);
    rows.map(|(utilization, ready)| utilization * ready)
        .collect()
}

/// Sums over all steps of a workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Number of requests.
    pub offered: f64,
    /// Number of requests served.
    pub served: f64,
    /// Number of requests not served.
    pub unserved: f64,
    /// Seconds that utilization was more than a tenth above its target. `None` if the
    /// autoscaler has no target for cpu.
    pub above_target_seconds: Option<f64>,
    /// The latest target as a part of the request, if there is one.
    pub target: Option<f64>,
    /// Seconds times spec.replicas.
    pub replica_seconds: f64,
    /// Changes of spec.replicas.
    pub changes: u64,
    /// The largest change of spec.replicas.
    pub biggest_swing: i64,
    /// Maximum number of replicas.
    pub most_replicas: i32,
    /// Distribution of cpu usage over time.
    pub utilization: Histogram,
    last_step: f64,
}

impl Tally {
    pub(crate) fn add(&mut self, sample: &StepSample, target: Option<f64>) {
        self.offered += sample.offered;
        self.served += sample.served;
        self.unserved += sample.unserved;
        self.replica_seconds += f64::from(sample.replicas) * sample.seconds;
        self.most_replicas = self.most_replicas.max(sample.replicas);
        self.target = target;
        if target.is_some() {
            self.above_target_seconds.get_or_insert(0.0);
        }
        self.last_step = sample.seconds;
        // Without Ready pods, the load is above any target.
        let utilization = sample
            .utilization
            .or((sample.offered > 0.0).then_some(f64::INFINITY));
        if let Some(utilization) = utilization {
            self.utilization.add(utilization, sample.seconds);
            let above = target.is_some_and(|target| utilization > TOLERANCE * target);
            if let Some(sum) = self.above_target_seconds.as_mut().filter(|_| above) {
                *sum += sample.seconds;
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

    /// Combines several workloads: times and counts are summed, and different targets
    /// become `None`.
    #[must_use]
    pub fn sum<'a>(tallies: impl Iterator<Item = &'a Self>) -> Self {
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
    /// Number of bins; the last one includes all larger values.
    const BINS: usize = 1001;

    fn add(&mut self, utilization: f64, seconds: f64) {
        // The conversion from float saturates.
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

    /// Returns the utilization in percent that is not exceeded for this part of the time.
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
