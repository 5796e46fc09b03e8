//! What metrics know: readings of counters at regular times.

use std::collections::VecDeque;

use flyball_core::time::Timestamp;

use super::pods::Entry;

/// What a Ready pod has used since the beginning. Load is spread evenly, so that
/// one counter serves all pods: each remembers where it stood when it became
/// Ready.
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
    /// When.
    pub at: Timestamp,
    /// Of a Ready pod.
    pub usage: Usage,
    /// Requests that came in, all together.
    pub offered: f64,
    /// Requests that wait.
    pub waiting: f64,
}

/// The latest readings, oldest first.
#[derive(Debug, Default)]
pub struct Meter {
    readings: VecDeque<Reading>,
}

/// Two readings in a row: what a metric's window lies between.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The earlier one.
    pub begin: Reading,
    /// The later one.
    pub end: Reading,
}

impl Meter {
    /// Keeps a reading, and of the others those from `oldest` on.
    pub fn push(&mut self, reading: Reading, oldest: Timestamp) {
        self.readings.push_back(reading);
        while self.readings.front().is_some_and(|first| first.at < oldest) {
            self.readings.pop_front();
        }
    }

    /// The last window that ends by `at`.
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
    /// Its length in milliseconds.
    pub fn length_ms(&self) -> i64 {
        self.end.at.since(self.begin.at)
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.length_ms() as f64 / 1000.0
    }

    /// Whether the pod ran all through it: else there are no two readings.
    pub fn covers(&self, pod: &Entry) -> bool {
        pod.running_at <= self.begin.at && pod.deletion.is_none()
    }

    /// What a pod used within it, while it was Ready.
    pub fn usage(&self, pod: &Entry) -> Usage {
        let Some(before) = pod.used_before else {
            return Usage::default();
        };
        let (begin, end) = (self.begin.usage, self.end.usage);
        Usage {
            cpu: (end.cpu - begin.cpu.max(before.cpu)).max(0.0),
            requests: (end.requests - begin.requests.max(before.requests)).max(0.0),
        }
    }

    /// Seconds of it that a pod was Running and not Ready.
    pub fn warming_up(&self, pod: &Entry) -> f64 {
        let from = self.begin.at.max(pod.running_at);
        let to = self.end.at.min(pod.ready_at);
        to.since(from).max(0) as f64 / 1000.0
    }
}
