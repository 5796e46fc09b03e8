//! A policy to compile, with or without a running child.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::compile::LoadRequest;
use crate::error::LoadError;

/// Callback that takes the outcome of a job.
pub(super) type Callback = Box<dyn FnOnce(Result<Vec<u8>, LoadError>) + Send>;

/// Number of a job, in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId(u64);

/// Used time from which a job has a lower priority, by level.
const LEVELS: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(16),
];

/// Divisor of wall-clock time to compare it with CPU time: a child that is blocked loses
/// priority too, only later.
const WALL_PART: u32 = 5;

/// A policy to compile.
pub(super) struct Job {
    pub id: JobId,
    pub request: LoadRequest,
    pub done: Callback,
    /// The most that one child used for it: CPU time, or a part of its running time.
    pub used: Duration,
    /// Needs more memory than other children leave.
    pub alone: bool,
    /// Number of times that a child for it ran out of memory because of other children.
    pub starved: u32,
}

impl Job {
    pub fn new(request: LoadRequest, done: Callback) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: JobId(NEXT.fetch_add(1, Ordering::Relaxed)),
            request,
            done,
            used: Duration::ZERO,
            alone: false,
            starved: 0,
        }
    }

    /// Records the CPU time that a child used, and the time that it ran.
    pub fn note(&mut self, cpu: Duration, ran: Duration) {
        self.used = self.used.max(cpu).max(ran / WALL_PART);
    }

    /// Returns the job's level. Jobs of a lower level run first, and a child of a higher
    /// level is stopped for them. So policies that compile in milliseconds, like all
    /// those from Rust, overtake those that take seconds, and both overtake those that
    /// never end.
    pub fn level(&self) -> usize {
        if self.alone {
            return LEVELS.len();
        }
        let reached = LEVELS.iter().take_while(|level| self.used >= **level);
        reached.count()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::Job;
    use crate::compile::{LoadRequest, Source};

    #[test]
    fn a_job_gives_way_by_cpu_time_and_by_the_time_that_it_is_blocked() {
        let level = |cpu, ran| {
            let source = Source::Bytes(Arc::default());
            let request = LoadRequest {
                digest: String::new(),
                source,
                max_bytes: 0,
            };
            let mut job = Job::new(request, Box::new(|_| {}));
            job.note(Duration::from_millis(cpu), Duration::from_millis(ran));
            job.level()
        };
        assert_eq!(
            [99, 100, 1_000, 4_000, 60_000].map(|cpu| level(cpu, 0)),
            [0, 1, 2, 3, 4]
        );
        assert_eq!(level(0, 499), 0);
        assert_eq!(level(0, 5_000), 2);
        assert_eq!(level(0, 5 * 60_000), 4);
    }
}
