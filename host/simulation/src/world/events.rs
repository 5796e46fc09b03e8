//! What happens beside the load, in the order of time.

use std::collections::VecDeque;
use std::path::PathBuf;

use flyball_core::time::Timestamp;

use super::DueSwap;
use super::workload::Workload;
use crate::scenario::{AutoscalerTemplate, EventSpec, Scenario};

/// What is still to happen.
#[derive(Debug)]
pub struct Agenda {
    coming: VecDeque<Event>,
    due_swaps: Vec<DueSwap>,
    outages: Vec<(Timestamp, Timestamp)>,
    folder: PathBuf,
}

/// Something that happens to workloads or nodes.
#[derive(Debug)]
pub struct Event {
    at: Timestamp,
    spec: EventSpec,
}

impl Agenda {
    pub fn new(scenario: &Scenario) -> Self {
        let event = |spec: &EventSpec| Event {
            at: scenario.start.plus(spec.at().0),
            spec: spec.clone(),
        };
        let mut coming: Vec<Event> = scenario.events.iter().map(event).collect();
        // Stable: events of one time happen in the order of the file.
        coming.sort_by_key(|event| event.at);
        Self {
            coming: coming.into(),
            due_swaps: Vec::new(),
            outages: Vec::new(),
            folder: scenario.folder.clone(),
        }
    }

    /// The next thing that happens to workloads or nodes by `now`; what concerns
    /// neither is taken care of.
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

    /// Swaps whose time has come, each told once.
    pub fn take_due_swaps(&mut self) -> Vec<DueSwap> {
        std::mem::take(&mut self.due_swaps)
    }

    /// Whether no metric can be had now.
    pub fn metrics_are_out(&self, now: Timestamp) -> bool {
        let out = |outage: &(Timestamp, Timestamp)| outage.0 <= now && now < outage.1;
        self.outages.iter().any(out)
    }
}

impl Event {
    /// What happens.
    pub fn spec(&self) -> &EventSpec {
        &self.spec
    }

    /// Whether it happens to this workload.
    pub fn concerns(&self, workload: &Workload) -> bool {
        let named = self.spec.workload();
        named.is_some_and(|name| name == workload.spec().name || *name == *workload.key().name)
    }

    /// It happens.
    pub fn happen(&self, workload: &mut Workload, now: Timestamp) {
        match &self.spec {
            EventSpec::KillPods { count, .. } => workload.kill_pods(now, *count),
            EventSpec::Surge { factor, length, .. } => {
                workload.surge(self.at.plus(length.0), *factor);
            }
            EventSpec::ChangeAutoscaler { autoscaler, .. } => {
                let template: &AutoscalerTemplate = autoscaler;
                workload.set_autoscaler(template);
            }
            EventSpec::SwapPolicy { .. }
            | EventSpec::MetricsOutage { .. }
            | EventSpec::ZoneOutage { .. }
            | EventSpec::KillNodes { .. } => {}
        }
    }
}
