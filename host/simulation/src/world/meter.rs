//! Counters that metrics are computed from, read at regular times.

use std::collections::VecDeque;

use flyball_decision::time::Timestamp;

use super::pods::PodEntry;

/// Counters of a Ready pod since the beginning. Load is distributed evenly, so one
/// counter serves all pods: each stores its value when the pod became Ready.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Core-seconds.
    pub cpu: f64,
    /// Requests served.
    pub requests: f64,
}

/// The counters of a workload at one time.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Time of the reading.
    pub at: Timestamp,
    /// Usage of a Ready pod.
    pub usage: Usage,
    /// Number of requests in total.
    pub offered: f64,
    /// Number of requests in the queue.
    pub waiting: f64,
    /// Number of Ready pods.
    pub ready: usize,
}

/// The latest readings, oldest first.
#[derive(Debug, Default)]
pub struct Meter {
    readings: VecDeque<Reading>,
}

/// Two successive readings: the window of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The earlier one.
    pub begin: Reading,
    /// The later one.
    pub end: Reading,
}

impl Meter {
    /// Adds a reading, and drops those before `oldest`.
    pub fn push(&mut self, reading: Reading, oldest: Timestamp) {
        self.readings.push_back(reading);
        while self.readings.front().is_some_and(|first| first.at < oldest) {
            self.readings.pop_front();
        }
    }

    /// Returns the last window that ends by `at`.
    pub fn window(&self, at: Timestamp) -> Option<Window> {
        let end = self.readings.partition_point(|reading| reading.at <= at);
        let begin = end.checked_sub(2)?;
        Some(Window {
            begin: self.readings[begin],
            end: self.readings[end - 1],
        })
    }
}

impl Window {
    /// Returns its length in milliseconds.
    pub fn length_ms(&self) -> i64 {
        self.end.at.since(self.begin.at)
    }

    /// Returns its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.length_ms() as f64 / 1000.0
    }

    /// Returns the mean requests per second within it.
    pub fn load(&self) -> f64 {
        (self.end.offered - self.begin.offered) / self.seconds()
    }

    /// Reports whether the pod ran during all of it: otherwise there are no two readings.
    pub fn covers(&self, pod: &PodEntry) -> bool {
        pod.running_at <= self.begin.at && pod.is_alive()
    }

    /// Returns the usage of a pod within it, while the pod was Ready.
    pub fn usage(&self, pod: &PodEntry) -> Usage {
        let Some(before) = pod.used_before else {
            return Usage::default();
        };
        let (begin, end) = (self.begin.usage, self.end.usage);
        Usage {
            cpu: (end.cpu - begin.cpu.max(before.cpu)).max(0.0),
            requests: (end.requests - begin.requests.max(before.requests)).max(0.0),
        }
    }

    /// Returns the seconds within it that a pod was Running but not Ready.
    pub fn warming_up(&self, pod: &PodEntry) -> f64 {
        let from = self.begin.at.max(pod.running_at);
        let to = self.end.at.min(pod.ready_at);
        to.since(from).max(0) as f64 / 1000.0
    }
}
