//! What a replica policy decides on.

use std::time::Duration;

use crate::bindings::replica::exports::flyball::policy::replica as wire;
use crate::given::{Given, NoConfig, NoState, show_given};
use crate::metric::Metric;
use crate::pod::Pod;
use crate::time::{Time, duration};

/// How many replicas should a workload have? This is all there is to know: the
/// answer is a function of it, and of nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Replica<C = NoConfig, S = NoState> {
    pub(crate) input: wire::Input,
    pub(crate) given: Given<C, S>,
}

impl<C, S> Replica<C, S> {
    show_given!();

    /// The object that is scaled.
    #[must_use]
    pub const fn target(&self) -> &wire::Target {
        &self.input.target
    }

    /// Fewest replicas allowed. The host enforces this bound.
    #[must_use]
    pub const fn min(&self) -> i32 {
        self.input.min_replicas
    }

    /// Most replicas allowed. The host enforces this bound.
    #[must_use]
    pub const fn max(&self) -> i32 {
        self.input.max_replicas
    }

    /// Replicas that are wanted now: `spec.replicas` of the scale.
    #[must_use]
    pub const fn current(&self) -> i32 {
        self.input.current_replicas
    }

    /// Replicas that exist: `status.replicas` of the scale.
    #[must_use]
    pub const fn running(&self) -> i32 {
        self.input.status_replicas
    }

    /// Pods that are Running and Ready.
    #[must_use]
    pub const fn ready(&self) -> i32 {
        self.input.ready_replicas
    }

    /// Tolerance above the target, as a part of it, within which replicas stay.
    #[must_use]
    pub const fn tolerance_up(&self) -> f64 {
        self.input.tolerance_up
    }

    /// Tolerance below the target, as a part of it, within which replicas stay.
    #[must_use]
    pub const fn tolerance_down(&self) -> f64 {
        self.input.tolerance_down
    }

    /// How long after its start the cpu of a pod may be that of its start-up.
    #[must_use]
    pub fn cpu_initialization_period(&self) -> Duration {
        duration(self.input.cpu_initialization_period_ms)
    }

    /// How long after its start a pod may never have been ready.
    #[must_use]
    pub fn initial_readiness_delay(&self) -> Duration {
        duration(self.input.initial_readiness_delay_ms)
    }

    /// The target's pods.
    pub fn pods(&self) -> impl ExactSizeIterator<Item = Pod<'_>> {
        let columns = &self.input.pods;
        (0..columns.state.len()).map(move |row| Pod::new(columns, row))
    }

    /// The pod of a row.
    #[must_use]
    pub fn pod(&self, row: usize) -> Option<Pod<'_>> {
        let columns = &self.input.pods;
        (row < columns.state.len()).then(|| Pod::new(columns, row))
    }

    /// The spec's metrics, in its order.
    pub fn metrics(&self) -> impl ExactSizeIterator<Item = Metric<'_>> {
        self.input
            .metrics
            .iter()
            .enumerate()
            .map(|(index, columns)| Metric::new(columns, index))
    }

    /// The first metric of that name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<Metric<'_>> {
        self.metrics().find(|metric| metric.name() == name)
    }

    /// Desired replicas as this policy proposed them before, oldest first.
    pub fn recommendations(&self) -> impl DoubleEndedIterator<Item = (Time, i32)> {
        samples(&self.input.recommendations)
    }

    /// Changes carried out before, oldest first: positive up, negative down.
    pub fn scale_events(&self) -> impl DoubleEndedIterator<Item = (Time, i32)> {
        samples(&self.input.scale_events)
    }

    /// The input as the contract has it, columns and all.
    #[must_use]
    pub const fn columns(&self) -> &wire::Input {
        &self.input
    }
}

fn samples(columns: &wire::Samples) -> impl DoubleEndedIterator<Item = (Time, i32)> {
    columns
        .at_ms
        .iter()
        .zip(&columns.replicas)
        .map(|(&ms, &replicas)| (Time::from_ms(ms), replicas))
}
