//! An instance, from the order to its end.

use std::sync::Arc;

use flyball_core::time::Timestamp;

use super::group::Change;
use crate::random;
use crate::scenario::NodeGroupSpec;

/// How long a cloud waits before it tries again what it could not have.
const RETRY_MS: i64 = 60_000;

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Counts the instances of the group.
    pub id: u64,
    /// What its node has in spec.providerID.
    pub provider_id: Arc<str>,
    /// Name of its node.
    pub node: Arc<str>,
    /// Where it is.
    pub zone: Option<Arc<str>>,
    /// How far it has come.
    pub stage: Stage,
    /// When it is gone.
    gone_at: Timestamp,
}

/// How far an instance has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Ordered, but the cloud has no capacity for it.
    Missing {
        /// When the cloud tries again.
        retry_at: Timestamp,
        /// Whether it says so.
        told: bool,
    },
    /// It is being made.
    Creating(Course),
    /// It runs, and its node has not joined.
    Booting(Course),
    /// Its node has joined and is not Ready.
    Joined(Course),
    /// Its node is Ready.
    Ready(Course),
    /// It is being taken away.
    Deleting {
        /// Whether its node had joined.
        joined: bool,
    },
}

/// What is to become of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    runs_at: Timestamp,
    joins_at: Timestamp,
    ready_at: Timestamp,
}

/// What tells a node from the others of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Born {
    /// Name of the node.
    pub node: Arc<str>,
    /// Its spec.providerID.
    pub provider_id: Arc<str>,
    /// Where it is.
    pub zone: Option<Arc<str>>,
}

const NEVER: Timestamp = Timestamp(i64::MAX);

impl Stage {
    /// Whether its node is Ready.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }

    /// Whether its node has joined.
    pub fn is_joined(&self) -> bool {
        matches!(
            self,
            Self::Joined(_) | Self::Ready(_) | Self::Deleting { joined: true }
        )
    }

    /// Whether it is paid for: from when it runs until it is gone.
    pub fn is_paid(&self) -> bool {
        !matches!(self, Self::Missing { .. } | Self::Creating(_))
    }

    /// Whether it no longer counts toward the target.
    pub fn is_leaving(&self) -> bool {
        matches!(self, Self::Deleting { .. })
    }
}

impl Instance {
    /// An instance that is wanted and that nobody has tried to make yet.
    pub fn wanted(now: Timestamp, id: u64, group: &str, seed: u64) -> Self {
        let suffix = random::suffix(seed, id);
        Self {
            id,
            provider_id: format!("sim:///{group}/{suffix}").into(),
            node: format!("{group}-{suffix}").into(),
            zone: None,
            stage: Stage::Missing {
                retry_at: now,
                told: false,
            },
            gone_at: NEVER,
        }
    }

    /// It could not be had.
    pub fn miss(&mut self, now: Timestamp, told: bool) {
        self.stage = Stage::Missing {
            retry_at: now.plus(RETRY_MS),
            told,
        };
    }

    /// It is being made from `now` on.
    pub fn create(&mut self, now: Timestamp, spec: &NodeGroupSpec, seed: u64) {
        let chance = |purpose: u64| random::unit(random::draw(&[seed, purpose, self.id]));
        let jitter = (2.0 * chance(1) - 1.0) * spec.boot.jitter.0 as f64;
        let boot = spec.boot.mean.0 + jitter.round() as i64;
        let failures = &spec.failures;
        let late = chance(2) < failures.joins_late.probability;
        let delay = if late { failures.joins_late.delay.0 } else { 0 };
        let never = chance(3) < failures.never_joins;
        let joins_at = if never { NEVER } else { now.plus(boot + delay) };
        self.stage = Stage::Creating(Course {
            runs_at: now.plus(boot / 3),
            joins_at,
            ready_at: joins_at.plus(spec.boot.readiness_delay.0),
        });
        if !never {
            self.gone_at = end_of_life(joins_at, spec, chance(7));
        }
    }

    /// Its node is Ready now.
    pub fn be_ready(&mut self, now: Timestamp, spec: &NodeGroupSpec, seed: u64) {
        let chance = random::unit(random::draw(&[seed, 7, self.id]));
        self.gone_at = end_of_life(now, spec, chance);
        self.stage = Stage::Ready(Course {
            runs_at: now,
            joins_at: now,
            ready_at: now,
        });
    }

    /// Its node, as it joins.
    pub fn born(&self) -> Born {
        Born {
            node: Arc::clone(&self.node),
            provider_id: Arc::clone(&self.provider_id),
            zone: self.zone.clone(),
        }
    }

    /// Lets time pass until `now`.
    pub fn pass(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        if let Stage::Creating(course) = self.stage
            && course.runs_at <= now
        {
            self.stage = Stage::Booting(course);
        }
        if let Stage::Booting(course) = self.stage
            && course.joins_at <= now
        {
            self.stage = Stage::Joined(course);
            changes.push(Change::Joined(self.born()));
        }
        if let Stage::Joined(course) = self.stage
            && course.ready_at <= now
        {
            self.stage = Stage::Ready(course);
            changes.push(Change::Ready(self.born()));
        }
    }

    /// It is being taken away; what could not be had is gone at once.
    pub fn delete(&mut self, now: Timestamp, length_ms: i64) {
        let missing = matches!(self.stage, Stage::Missing { .. });
        let length_ms = if missing { 0 } else { length_ms };
        self.gone_at = self.gone_at.min(now.plus(length_ms));
        self.stage = Stage::Deleting {
            joined: self.stage.is_joined(),
        };
    }

    /// It is gone without notice. What does not exist can't be lost.
    pub fn lose(&mut self, now: Timestamp) {
        if !matches!(self.stage, Stage::Missing { .. }) {
            self.gone_at = self.gone_at.min(now);
        }
    }

    /// Whether it is gone.
    pub fn gone_by(&self, now: Timestamp) -> bool {
        self.gone_at <= now
    }
}

/// When a node that joined dies: its life is exponentially distributed.
fn end_of_life(joined: Timestamp, spec: &NodeGroupSpec, chance: f64) -> Timestamp {
    let mean = spec.failures.mean_time_between_failures;
    mean.map_or(NEVER, |mean| {
        // A float becomes an integer saturating.
        joined.plus((-libm::log(1.0 - chance) * mean.0 as f64) as i64)
    })
}
