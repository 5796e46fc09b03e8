//! History of a run's nodes.

use std::sync::Arc;

use crate::scenario::{NodeGroupSpec, Scenario};
use crate::time::Millis;
use crate::timeline::{Removals, Timeline};

/// The nodes of a run over time, with sums. Columns have one row for each interval: the
/// number at its end, except for waiting pods the maximum within it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    /// Length of an interval.
    pub interval: Millis,
    /// Beginning of the interval, in milliseconds since the start.
    pub at_ms: Vec<i64>,
    /// Each node group, in the scenario's order.
    pub groups: Vec<GroupHistory>,
    /// Number of pods that wait for a node.
    pub pending: Vec<f64>,
    /// Cost of the instances per hour, as far as prices are known.
    pub cost_per_hour: Vec<f64>,
    /// Seconds times pods that waited for a node.
    pub pending_seconds: f64,
    /// Maximum number of pods that waited at one time.
    pub most_pending: u32,
    /// Longest time that a pod waited until it got a node, in milliseconds. The time
    /// before the start does not count.
    pub longest_wait_ms: i64,
    /// Nodes that were removed on purpose.
    pub removals: Removals,
}

/// A node group over time, with sums.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupHistory {
    /// Name.
    pub name: Arc<str>,
    /// Minimum size.
    pub min: u32,
    /// Maximum size.
    pub max: u32,
    /// Price of a node per hour, if known.
    pub price: Option<f64>,
    /// Number of Ready nodes.
    pub ready: Vec<f64>,
    /// Target size.
    pub ordered: Vec<f64>,
    /// Number of Ready nodes at the start.
    pub first: u32,
    /// Number of Ready nodes at the end.
    pub last: u32,
    /// Maximum number of Ready nodes at one time.
    pub most: u32,
    /// Paid instance-hours.
    pub paid_hours: f64,
    /// Paid instance-hours before the price changed last, and their cost.
    before: (f64, f64),
}

/// Measurements of a node group in one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupSample {
    /// Number of Ready nodes.
    pub(crate) ready: u32,
    /// Target size.
    pub(crate) target: u32,
    /// Number of paid instances.
    pub(crate) paid: u32,
}

impl Fleet {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            interval: Timeline::new(scenario).interval,
            groups: scenario.node_groups.iter().map(GroupHistory::new).collect(),
            ..Self::default()
        }
    }

    /// Adds a step of `seconds` that begins at `at_ms` since the start.
    pub(crate) fn add(&mut self, at_ms: i64, seconds: f64, groups: &[GroupSample], pending: u32) {
        let begin = at_ms - at_ms % self.interval.0;
        let new = self.at_ms.last() != Some(&begin);
        if new {
            self.at_ms.push(begin);
        }
        let mut cost = 0.0;
        for (history, sample) in self.groups.iter_mut().zip(groups) {
            history.add(sample, seconds, new);
            cost += history.price.unwrap_or(0.0) * f64::from(sample.paid);
        }
        set(&mut self.cost_per_hour, cost, new);
        let before = if new { None } else { self.pending.last() };
        let most = before.map_or(0.0, |most| *most).max(f64::from(pending));
        set(&mut self.pending, most, new);
        self.pending_seconds += f64::from(pending) * seconds;
        self.most_pending = self.most_pending.max(pending);
    }

    /// Returns the cost of the instances, as far as prices are known.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.groups.iter().filter_map(GroupHistory::cost).sum()
    }

    /// Returns the paid instance-hours.
    #[must_use]
    pub fn paid_hours(&self) -> f64 {
        self.groups.iter().map(|group| group.paid_hours).sum()
    }

    /// Reports whether any price is known.
    #[must_use]
    pub fn has_prices(&self) -> bool {
        self.groups.iter().any(|group| group.price.is_some())
    }

    /// Returns the number of Ready nodes of all groups.
    #[must_use]
    pub fn ready(&self) -> Vec<f64> {
        self.sum(|group| &group.ready)
    }

    /// Returns the target size of all groups.
    #[must_use]
    pub fn ordered(&self) -> Vec<f64> {
        self.sum(|group| &group.ordered)
    }

    fn sum(&self, column: fn(&GroupHistory) -> &Vec<f64>) -> Vec<f64> {
        let rows = 0..self.at_ms.len();
        let sum = |row: usize| self.groups.iter().map(|group| column(group)[row]).sum();
        rows.map(sum).collect()
    }
}

impl GroupHistory {
    fn new(spec: &NodeGroupSpec) -> Self {
        Self {
            name: spec.name.as_str().into(),
            min: spec.min,
            max: spec.max,
            price: spec.price,
            first: spec.initial(),
            ..Self::default()
        }
    }

    fn add(&mut self, sample: &GroupSample, seconds: f64, new: bool) {
        set(&mut self.ready, f64::from(sample.ready), new);
        set(&mut self.ordered, f64::from(sample.target), new);
        self.last = sample.ready;
        self.most = self.most.max(sample.ready);
        self.paid_hours += f64::from(sample.paid) * seconds / 3600.0;
    }

    /// Returns the cost of its instances. Returns `None` if the price is not known.
    #[must_use]
    pub fn cost(&self) -> Option<f64> {
        let (hours, cost) = self.before;
        self.price
            .map(|price| cost + price * (self.paid_hours - hours))
    }

    /// Changes the price from now on.
    pub(crate) fn change_price(&mut self, price: f64) {
        self.before = (self.paid_hours, self.cost().unwrap_or_default());
        self.price = Some(price);
    }
}

fn set(column: &mut Vec<f64>, value: f64, new: bool) {
    match column.last_mut() {
        Some(last) if !new => *last = value,
        _ => column.push(value),
    }
}
