//! What is kept of one object beyond the life of a process: small enough for an
//! object of the API server, and written seldom enough for one.
//!
//! Kept are the policies' states, the changes that rate policies look back at and
//! the histories that policies want. Recommendations are not: an object seen for
//! the first time has what it has as its first one, which holds it for as long.

mod bytes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use bytes::DamagedKept;
pub(crate) use bytes::STATE_FRAME;

use crate::policy::STATE_LIMIT;
use crate::ports::StateStore;
use crate::replica::{Samples, Target};

/// Most bytes kept of one object, in the form of [`Kept::to_bytes`], names of
/// policies and metrics included.
pub const KEPT_LIMIT: usize = 1024;

/// Most bytes that the states of an object's policies take in that form: one of
/// [`STATE_LIMIT`] of a policy whose name is as long as names may be.
pub(crate) const STATES_LIMIT: usize = STATE_LIMIT + STATE_FRAME + 63;

/// Most changes kept: where there are more, the oldest count as one.
const MOST_CHANGES: usize = 16;

/// Changes for which there is always room.
const SURE_CHANGES: usize = 14;

const _: () = assert!(bytes::FRAME + STATES_LIMIT + SURE_CHANGES * bytes::CHANGE <= KEPT_LIMIT);

/// What is kept of one object.
#[derive(Clone, Debug, Default, PartialEq)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptState {
    /// The version of the state: a policy of another one starts anew.
    pub state_version: u32,
    /// The state.
    pub state: Arc<str>,
}

/// A metric's means over steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptHistory {
    /// Name of the metric.
    pub metric: String,
    /// Length of a step, in milliseconds.
    pub step_ms: i64,
    /// Number of the first step: its begin divided by its length.
    pub first: i64,
    /// The mean over each step from the first on. `None` if nothing was measured.
    pub means: Vec<Option<f32>>,
}

impl Kept {
    /// Takes these changes: the latest that there is room for beside the states, and
    /// what came before them as one change at the last of its times, so that none is
    /// forgotten early.
    pub(super) fn take_changes(&mut self, mut changes: Samples) {
        let most = (self.room() / bytes::CHANGE).min(MOST_CHANGES);
        let Samples { at_ms, replicas } = &mut changes;
        while at_ms.len() > most.max(1) {
            at_ms.remove(0);
            let oldest = replicas.remove(0);
            replicas[0] = replicas[0].saturating_add(oldest);
        }
        self.changes = changes;
    }

    /// What is left, in bytes.
    pub(super) fn room(&self) -> usize {
        KEPT_LIMIT.saturating_sub(self.to_bytes().len())
    }
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
pub struct InMemoryStore(Mutex<BTreeMap<Arc<str>, Box<[u8]>>>);

impl InMemoryStore {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Box<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for InMemoryStore {
    fn load(&self, uid: &Arc<str>) -> Option<Arc<Kept>> {
        let objects = self.objects();
        Kept::from_bytes(objects.get(uid)?).ok().map(Arc::new)
    }

    fn save(&self, uid: &Arc<str>, kept: Kept) {
        let bytes = kept.to_bytes().into_boxed_slice();
        self.objects().insert(Arc::clone(uid), bytes);
    }

    fn forget(&self, uid: &Arc<str>) {
        self.objects().remove(uid);
    }
}
