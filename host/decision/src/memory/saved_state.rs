//! State of one object that survives a restart. It is small enough for an object of the
//! API server, and written seldom enough for one.
//!
//! It has the policies' states, the changes that rate policies look back at and the
//! histories that policies want. Recommendations are not saved: for an object seen for the
//! first time, the current replicas are the first recommendation, which holds it for as
//! long.

mod bytes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use bytes::DamagedSavedState;
pub(crate) use bytes::STATE_FRAME;

use super::StateStore;
use crate::policy::STATE_LIMIT;
use crate::replica::{Samples, Target};

/// Maximum size of the state of one object in bytes, in the form of [`SavedState::to_bytes`],
/// names of policies and metrics included.
pub const SAVED_STATE_LIMIT: usize = 1024;

/// Maximum size of the states of an object's policies in that form, in bytes: one of
/// [`STATE_LIMIT`] of a policy whose name is as long as names may be.
pub const STATES_LIMIT: usize = STATE_LIMIT + STATE_FRAME + 63;

/// Maximum number of changes saved. If there are more, the oldest are merged into one.
const MAX_CHANGES: usize = 16;

/// Number of changes for which there is always room.
const SURE_CHANGES: usize = 14;

const _: () =
    assert!(bytes::FRAME + STATES_LIMIT + SURE_CHANGES * bytes::CHANGE <= SAVED_STATE_LIMIT);

/// State of one object that survives a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedState {
    /// Fingerprint of the target. The state is of no use for another target.
    pub target: u64,
    /// Each policy's state, by the policy's name.
    pub states: BTreeMap<Arc<str>, SavedPolicyState>,
    /// Changes carried out, oldest first: positive up, negative down.
    pub changes: Samples,
    /// Metric histories, as far as there is room.
    pub histories: Vec<SavedHistory>,
}

/// A policy's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedPolicyState {
    /// Version of the state. A policy with another state version starts without a state.
    pub state_version: u32,
    /// The state.
    pub state: Arc<str>,
}

/// A metric's means over steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedHistory {
    /// Name of the metric.
    pub metric: String,
    /// Length of a step, in milliseconds.
    pub step_ms: i64,
    /// Number of the first step: its start divided by its length.
    pub first: i64,
    /// Mean of each step from the first on. `None` if nothing was measured.
    pub means: Vec<Option<f32>>,
}

impl SavedState {
    /// Sets the changes: the latest that fit beside the states. Older ones are merged
    /// into one change at the time of the latest of them, so that none is forgotten
    /// early.
    pub fn take_changes(&mut self, mut changes: Samples) {
        let most = (self.room() / bytes::CHANGE).min(MAX_CHANGES);
        let Samples { at_ms, replicas } = &mut changes;
        while at_ms.len() > most.max(1) {
            at_ms.remove(0);
            let oldest = replicas.remove(0);
            replicas[0] = replicas[0].saturating_add(oldest);
        }
        self.changes = changes;
    }

    /// Returns the room that is left, in bytes.
    pub fn room(&self) -> usize {
        SAVED_STATE_LIMIT.saturating_sub(self.to_bytes().len())
    }
}

/// Returns the fingerprint of a target.
pub fn fingerprint(target: &Target) -> u64 {
    let parts = [
        &target.api_version,
        &target.kind,
        &target.namespace,
        &target.name,
    ];
    crate::hash::fnv1a(parts.into_iter().flat_map(|part| part.bytes().chain([0])))
}

/// A store that lives as long as the process.
#[derive(Debug, Default)]
pub struct InMemoryStore(Mutex<BTreeMap<Arc<str>, Box<[u8]>>>);

impl InMemoryStore {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Box<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for InMemoryStore {
    fn load(&self, uid: &Arc<str>) -> Option<Arc<SavedState>> {
        let objects = self.objects();
        SavedState::from_bytes(objects.get(uid)?).ok().map(Arc::new)
    }

    fn save(&self, uid: &Arc<str>, saved: SavedState) {
        let bytes = saved.to_bytes().into_boxed_slice();
        self.objects().insert(Arc::clone(uid), bytes);
    }

    fn forget(&self, uid: &Arc<str>) {
        self.objects().remove(uid);
    }
}
