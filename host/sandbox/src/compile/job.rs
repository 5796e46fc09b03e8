//! A policy that is to be compiled, whether it has a child at the moment or not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::compile::Wanted;
use crate::error::LoadError;

/// Called with what came of a job.
pub(super) type Done = Box<dyn FnOnce(Result<Vec<u8>, LoadError>) + Send>;

/// Number of a job, in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId(u64);

/// Time from which a job gives way to those that have used less.
const LEVELS: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(16),
];

/// Time by the wall clock that counts as much as CPU time: a child that waits for
/// something else than a CPU gives way too, only later.
const WALL_PART: u32 = 5;

/// A policy to compile.
pub(super) struct Job {
    pub id: JobId,
    pub wanted: Wanted,
    pub done: Done,
    /// The most that a child used for it: CPU time, or a part of the time that it ran.
    pub used: Duration,
    /// Whether it needs more memory than is left beside others.
    pub alone: bool,
    /// How often a child for it found no more memory because of others.
    pub starved: u32,
}

impl Job {
    pub fn new(wanted: Wanted, done: Done) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: JobId(NEXT.fetch_add(1, Ordering::Relaxed)),
            wanted,
            done,
            used: Duration::ZERO,
            alone: false,
            starved: 0,
        }
    }

    /// Notes what a child has used: CPU time, and the time that it ran.
    pub fn note(&mut self, cpu: Duration, ran: Duration) {
        self.used = self.used.max(cpu).max(ran / WALL_PART);
    }

    /// How much it has used. Jobs of a lower level run first, and a child of a higher
    /// level is stopped for them. So policies that compile in milliseconds, as all from
    /// Rust do, overtake those that take seconds, and both overtake what never ends.
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
    use crate::compile::{Source, Wanted};

    #[test]
    fn a_job_gives_way_by_cpu_time_and_by_the_time_that_it_is_blocked() {
        let level = |cpu, ran| {
            let source = Source::Bytes(Arc::default());
            let wanted = Wanted {
                digest: String::new(),
                source,
                max_bytes: 0,
            };
            let mut job = Job::new(wanted, Box::new(|_| {}));
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
