//! The lifecycle of an instance, from the order to its removal.

use std::sync::Arc;

use flyball_decision::time::Timestamp;

use super::group::Change;
use crate::random;
use crate::scenario::NodeGroupSpec;

/// Time after which a cloud retries an instance without capacity.
const RETRY_MS: i64 = 60_000;

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Number of the instance in its group.
    pub id: u64,
    /// spec.providerID of its node.
    pub provider_id: Arc<str>,
    /// Name of its node.
    pub node: Arc<str>,
    /// metadata.uid of its node.
    pub node_uid: Arc<str>,
    /// Zone.
    pub zone: Option<Arc<str>>,
    /// Stage of its lifecycle.
    pub stage: Stage,
    /// Time of its removal.
    gone_at: Timestamp,
}

/// Stage of an instance's lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Ordered, but the cloud has no capacity for it.
    Missing {
        /// Time of the next attempt.
        retry_at: Timestamp,
        /// Whether the cloud reports the lack of capacity.
        reported: bool,
    },
    /// It is being created.
    Creating(BootSchedule),
    /// It runs, and its node has not joined.
    Booting(BootSchedule),
    /// Its node has joined and is not Ready.
    Joined(BootSchedule),
    /// Its node is Ready.
    Ready(BootSchedule),
    /// It is being deleted.
    Deleting {
        /// Whether its node had joined.
        joined: bool,
    },
}

/// Times of an instance's future stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootSchedule {
    runs_at: Timestamp,
    joins_at: Timestamp,
    ready_at: Timestamp,
}

/// Identity of a node within its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// Name of the node.
    pub node: Arc<str>,
    /// Its metadata.uid.
    pub uid: Arc<str>,
    /// Its spec.providerID.
    pub provider_id: Arc<str>,
    /// Zone.
    pub zone: Option<Arc<str>>,
}

const NEVER: Timestamp = Timestamp(i64::MAX);

impl Stage {
    /// Reports whether its node is Ready.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }

    /// Reports whether its node has joined.
    pub fn is_joined(&self) -> bool {
        matches!(
            self,
            Self::Joined(_) | Self::Ready(_) | Self::Deleting { joined: true }
        )
    }

    /// Reports whether it is paid for: from when it runs until its removal.
    pub fn is_paid(&self) -> bool {
        !matches!(self, Self::Missing { .. } | Self::Creating(_))
    }

    /// Reports whether it no longer counts toward the target size.
    pub fn is_leaving(&self) -> bool {
        matches!(self, Self::Deleting { .. })
    }
}

/// Returns whether an instance with this id is or was one of a group.
pub fn is_of_group(provider_id: &str, group: &str) -> bool {
    let id = provider_id.strip_prefix("sim:///");
    id.and_then(|id| id.rsplit_once('/'))
        .is_some_and(|(of, _)| of == group)
}

impl Instance {
    /// Returns an ordered instance without an attempt to create it yet.
    pub fn wanted(now: Timestamp, id: u64, group: &str, seed: u64) -> Self {
        let suffix = random::suffix(seed, id);
        Self {
            id,
            provider_id: format!("sim:///{group}/{suffix}").into(),
            node: format!("{group}-{suffix}").into(),
            node_uid: format!("{:016x}", random::draw(&[seed, 9, id])).into(),
            zone: None,
            stage: Stage::Missing {
                retry_at: now,
                reported: false,
            },
            gone_at: NEVER,
        }
    }

    /// Records an attempt that failed for lack of capacity.
    pub fn miss(&mut self, now: Timestamp, reported: bool) {
        self.stage = Stage::Missing {
            retry_at: now.plus(RETRY_MS),
            reported,
        };
    }

    /// Starts to create it at `now`.
    pub fn create(&mut self, now: Timestamp, spec: &NodeGroupSpec, seed: u64) {
        let chance = |purpose: u64| random::unit(random::draw(&[seed, purpose, self.id]));
        let jitter = (2.0 * chance(1) - 1.0) * spec.boot.jitter.0 as f64;
        let boot = spec.boot.mean.0 + jitter.round() as i64;
        let failures = &spec.failures;
        let late = chance(2) < failures.joins_late.probability;
        let delay = if late { failures.joins_late.delay.0 } else { 0 };
        let never = chance(3) < failures.never_joins;
        let joins_at = if never { NEVER } else { now.plus(boot + delay) };
        self.stage = Stage::Creating(BootSchedule {
            runs_at: now.plus(boot / 3),
            joins_at,
            ready_at: joins_at.plus(spec.boot.readiness_delay.0),
        });
        if !never {
            self.gone_at = end_of_life(joins_at, spec, chance(7));
        }
    }

    /// Makes its node Ready now.
    pub fn be_ready(&mut self, now: Timestamp, spec: &NodeGroupSpec, seed: u64) {
        let chance = random::unit(random::draw(&[seed, 7, self.id]));
        self.gone_at = end_of_life(now, spec, chance);
        self.stage = Stage::Ready(BootSchedule {
            runs_at: now,
            joins_at: now,
            ready_at: now,
        });
    }

    /// Returns the identity of its node.
    pub fn identity(&self) -> NodeIdentity {
        NodeIdentity {
            node: Arc::clone(&self.node),
            uid: Arc::clone(&self.node_uid),
            provider_id: Arc::clone(&self.provider_id),
            zone: self.zone.clone(),
        }
    }

    /// Advances to `now`.
    pub fn pass(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        if let Stage::Creating(schedule) = self.stage
            && schedule.runs_at <= now
        {
            self.stage = Stage::Booting(schedule);
        }
        if let Stage::Booting(schedule) = self.stage
            && schedule.joins_at <= now
        {
            self.stage = Stage::Joined(schedule);
            changes.push(Change::Joined(self.identity()));
        }
        if let Stage::Joined(schedule) = self.stage
            && schedule.ready_at <= now
        {
            self.stage = Stage::Ready(schedule);
            changes.push(Change::Ready(self.identity()));
        }
    }

    /// Starts to delete it; an instance without capacity is removed at once.
    pub fn delete(&mut self, now: Timestamp, length_ms: i64) {
        let missing = matches!(self.stage, Stage::Missing { .. });
        let length_ms = if missing { 0 } else { length_ms };
        self.gone_at = self.gone_at.min(now.plus(length_ms));
        self.stage = Stage::Deleting {
            joined: self.stage.is_joined(),
        };
    }

    /// Removes it without notice, if it exists.
    pub fn lose(&mut self, now: Timestamp) {
        if !matches!(self.stage, Stage::Missing { .. }) {
            self.gone_at = self.gone_at.min(now);
        }
    }

    /// Reports whether it is removed by `now`.
    pub fn gone_by(&self, now: Timestamp) -> bool {
        self.gone_at <= now
    }
}

/// Returns when a node that joined dies: lifetimes are exponentially distributed.
fn end_of_life(joined: Timestamp, spec: &NodeGroupSpec, chance: f64) -> Timestamp {
    let mean = spec.failures.mean_time_between_failures;
    mean.map_or(NEVER, |mean| {
        // The conversion from float saturates.
        joined.plus((-libm::log(1.0 - chance) * mean.0 as f64) as i64)
    })
}
