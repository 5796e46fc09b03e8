//! Events of the scenario, ordered by time.

use std::collections::VecDeque;
use std::path::PathBuf;

use flyball_decision::time::Timestamp;

use super::DueSwap;
use super::workload::Workload;
use crate::scenario::{AutoscalerTemplate, EventSpec, Scenario};

/// Events that have not happened yet.
#[derive(Debug)]
pub struct EventQueue {
    coming: VecDeque<Event>,
    due_swaps: Vec<DueSwap>,
    outages: Vec<(Timestamp, Timestamp)>,
    folder: PathBuf,
}

/// An event of workloads or nodes.
#[derive(Debug)]
pub struct Event {
    at: Timestamp,
    spec: EventSpec,
}

impl EventQueue {
    pub fn new(scenario: &Scenario) -> Self {
        let event = |spec: &EventSpec| Event {
            at: scenario.start.plus(spec.at().0),
            spec: spec.clone(),
        };
        let mut coming: Vec<Event> = scenario.events.iter().map(event).collect();
        // The sort is stable: simultaneous events happen in the order of the file.
        coming.sort_by_key(|event| event.at);
        Self {
            coming: coming.into(),
            due_swaps: Vec::new(),
            outages: Vec::new(),
            folder: scenario.folder.clone(),
        }
    }

    /// Returns the next event of workloads or nodes that is due. Other events are handled
    /// here.
    pub fn next(&mut self, now: Timestamp) -> Option<Event> {
        while self.coming.front().is_some_and(|event| event.at <= now) {
            let event = self.coming.pop_front()?;
            match &event.spec {
                EventSpec::SwapPolicy { name, file, .. } => self.due_swaps.push(DueSwap {
                    at: event.at,
                    name: name.clone(),
                    file: self.folder.join(file),
                }),
                EventSpec::MetricsOutage { length, .. } => {
                    self.outages.push((event.at, event.at.plus(length.0)));
                }
                _ => return Some(event),
            }
        }
        None
    }

    /// Returns the swaps that are due, each once.
    pub fn take_due_swaps(&mut self) -> Vec<DueSwap> {
        std::mem::take(&mut self.due_swaps)
    }

    /// Reports whether metrics are unavailable now.
    pub fn metrics_are_out(&self, now: Timestamp) -> bool {
        let out = |outage: &(Timestamp, Timestamp)| outage.0 <= now && now < outage.1;
        self.outages.iter().any(out)
    }
}

impl Event {
    /// Returns the event's spec.
    pub fn spec(&self) -> &EventSpec {
        &self.spec
    }

    /// Returns the time of the event.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Reports whether the event applies to this workload.
    pub fn concerns(&self, workload: &Workload) -> bool {
        let named = self.spec.workload();
        named.is_some_and(|name| name == workload.spec().name || *name == *workload.key().name)
    }

    /// Applies the event to a workload.
    pub fn apply(&self, workload: &mut Workload, now: Timestamp) {
        match &self.spec {
            EventSpec::KillPods { count, .. } => workload.kill_pods(now, *count),
            EventSpec::Surge { factor, length, .. } => {
                workload.surge(self.at.plus(length.0), *factor);
            }
            EventSpec::ChangeAutoscaler { autoscaler, .. } => {
                let template: &AutoscalerTemplate = autoscaler;
                workload.set_autoscaler(template);
            }
            EventSpec::Scale { replicas, .. } => workload.change_replicas(*replicas),
            EventSpec::RefuseEvictions { length, .. } => {
                workload.refuse_evictions(self.at.plus(length.0));
            }
            EventSpec::SwapPolicy { .. }
            | EventSpec::MetricsOutage { .. }
            | EventSpec::ZoneOutage { .. }
            | EventSpec::KillNodes { .. }
            | EventSpec::RefuseTermination { .. }
            | EventSpec::ChangeNodeGroup { .. } => {}
        }
    }
}
