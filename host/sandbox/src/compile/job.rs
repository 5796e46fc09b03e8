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

/// CPU time from which a job gives way to those that have used less.
const LEVELS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// A policy to compile.
pub(super) struct Job {
    pub id: JobId,
    pub wanted: Wanted,
    pub done: Done,
    /// The most CPU time that a child took for it.
    pub used: Duration,
    /// Whether it needs more memory than is left beside others.
    pub alone: bool,
    /// How often a child ran for it.
    pub tries: u32,
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
            tries: 0,
        }
    }

    /// How much it has used. Jobs of a lower level come first, and a child of a higher
    /// one is stopped for them. Those that come in milliseconds (all that are compiled
    /// from Rust) overtake in this way what takes seconds, and both what has no end.
    pub fn level(&self) -> usize {
        if self.alone {
            return LEVELS.len();
        }
        let reached = LEVELS.iter().take_while(|level| self.used >= **level);
        reached.count()
    }
}
