//! What is remembered of policies between decisions, and the part of an object's memory
//! that survives a restart, behind [`StateStore`].

mod policies;
mod samples;
mod saved_state;

use std::sync::Arc;

pub use policies::{PolicyMemories, Recalled};
pub use saved_state::{
    DamagedSavedState, InMemoryStore, SAVED_STATE_LIMIT, SavedHistory, SavedPolicyState,
    SavedState, fingerprint,
};
pub(crate) use saved_state::{STATE_FRAME, STATES_LIMIT};

/// Stores what is remembered of objects beyond the life of a loop, by the object's uid
/// ([`NODE_GROUPS`](crate::policy::NODE_GROUPS) for choices among node groups): states by
/// policy and state version, at most [`SAVED_STATE_LIMIT`] bytes per object in all.
///
/// The loop works on copies. It loads an object's copy when it first sees the object, and
/// saves a material change once the action that belongs to it has succeeded. No decision
/// waits for a store: one that writes elsewhere has its content when the caches are
/// synced, takes what is saved without waiting, and logs and retries failed writes
/// itself.
pub trait StateStore: Send + Sync {
    /// Returns what was last saved for an object. `None` if nothing was.
    fn load(&self, uid: &Arc<str>) -> Option<Arc<SavedState>>;

    /// Saves this for an object, in place of what was saved before.
    fn save(&self, uid: &Arc<str>, saved: SavedState);

    /// Deletes what is saved for an object.
    fn forget(&self, uid: &Arc<str>);
}
