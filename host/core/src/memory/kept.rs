//! What is kept of one object beyond the life of a process: small enough for an
//! object of the API server, and written seldom enough for one.
//!
//! Kept are the policies' states, the changes that rate policies look back at and
//! the histories that policies want. Recommendations are not: an object seen for
//! the first time has what it has as its first one, which holds it for as long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::policy::STATE_LIMIT;
use crate::ports::StateStore;
use crate::replica::{Samples, Target};

/// Most bytes kept of one object, keys (its uid, names of policies and metrics)
/// aside: [`Kept::bytes`].
pub const KEPT_LIMIT: usize = 1024;

/// Most changes kept: where there are more, the oldest count as one.
const MOST_CHANGES: usize = 16;

const TARGET_BYTES: usize = size_of::<u64>();
const CHANGE_BYTES: usize = size_of::<i64>() + size_of::<i32>();
/// Number of a history's first step.
const HISTORY_BYTES: usize = size_of::<i64>();
const MEAN_BYTES: usize = size_of::<f32>();

const _: () = assert!(TARGET_BYTES + STATE_LIMIT + MOST_CHANGES * CHANGE_BYTES < KEPT_LIMIT);

/// What is kept of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kept {
    /// Tells its target from others: what was right for another is of no use.
    pub target: u64,
    /// Each policy's state, by the policy's name.
    pub states: BTreeMap<Arc<str>, KeptState>,
    /// Changes carried out, oldest first: positive up, negative down.
    pub changes: Samples,
    /// Metrics in the past, as far as there is room.
    pub histories: Vec<KeptHistory>,
}

/// A policy's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeptState {
    /// The version of the state: a policy of another one starts anew.
    pub state_version: u32,
    /// The state.
    pub state: Arc<str>,
}

/// A metric's means over steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeptHistory {
    /// Name of the metric.
    pub metric: String,
    /// Length of a step, in milliseconds.
    pub step_ms: i64,
    /// Number of the first step: its begin divided by its length.
    pub first: i64,
    /// The mean over each step from the first on; none: nothing was measured.
    pub means: Vec<Option<f32>>,
}

impl Kept {
    /// What it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let histories = self.histories.iter();
        self.bytes_without_histories() + histories.map(KeptHistory::bytes).sum::<usize>()
    }

    /// What is left for histories, in bytes.
    pub(super) fn room(&self) -> usize {
        KEPT_LIMIT.saturating_sub(self.bytes_without_histories())
    }

    fn bytes_without_histories(&self) -> usize {
        let states = self.states.values().map(|kept| kept.state.len());
        TARGET_BYTES + states.sum::<usize>() + self.changes.at_ms.len() * CHANGE_BYTES
    }
}

impl KeptHistory {
    /// How many means fit into `bytes`.
    #[must_use]
    pub fn fitting(bytes: usize) -> usize {
        bytes.saturating_sub(HISTORY_BYTES) / MEAN_BYTES
    }

    /// What it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        HISTORY_BYTES + self.means.len() * MEAN_BYTES
    }
}

/// Changes as they are kept: the latest, and what came before them as one change
/// at the last of its times, so that none is forgotten early.
pub(super) fn fewer(mut changes: Samples) -> Samples {
    let Samples { at_ms, replicas } = &mut changes;
    while at_ms.len() > MOST_CHANGES {
        at_ms.remove(0);
        let oldest = replicas.remove(0);
        replicas[0] = replicas[0].saturating_add(oldest);
    }
    changes
}

/// What tells a target from others.
pub(super) fn fingerprint(target: &Target) -> u64 {
    let parts = [
        &target.api_version,
        &target.kind,
        &target.namespace,
        &target.name,
    ];
    crate::hash::fnv1a(parts.into_iter().flat_map(|part| part.bytes().chain([0])))
}

/// A store for as long as the process lives.
#[derive(Debug, Default)]
pub struct InMemoryStore(Mutex<BTreeMap<Arc<str>, Arc<Kept>>>);

impl InMemoryStore {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for InMemoryStore {
    fn load(&self, uid: &Arc<str>) -> Option<Arc<Kept>> {
        self.objects().get(uid).cloned()
    }

    fn save(&self, uid: &Arc<str>, kept: Kept) {
        self.objects().insert(Arc::clone(uid), Arc::new(kept));
    }

    fn forget(&self, uid: &Arc<str>) {
        self.objects().remove(uid);
    }
}
