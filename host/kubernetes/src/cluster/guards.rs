//! What scale-down reads besides pods and nodes: owners of pods, and
//! PodDisruptionBudgets. Each kind is optional: where the API server refuses it, the
//! state knows that it does not know.

use std::sync::Arc;

use flyball_nodes::queued_state::QueuedObject;
use flyball_nodes::state::{ClusterState, OwnerKind};
use flyball_placement::Name;

use super::WatchedState;
use super::watched::{StateKind, apply_changes};
use crate::slim::{
    BudgetObject, JobObject, ObjectMetadata, ReplicaSetObject, ReplicationControllerObject,
    StatefulSetObject,
};
use crate::watch::{SlimKind, Watches};

/// A kind that the state can do without.
trait OptionalKind: StateKind {
    /// Notes whether objects of the kind can be read.
    fn set_available(state: &mut ClusterState, is_available: bool);
}

/// Starts the watches of all these kinds.
pub(super) fn watch_all(watches: &mut Watches, state: &Arc<WatchedState>) {
    watch_kind::<ReplicaSetObject>(watches, state);
    watch_kind::<StatefulSetObject>(watches, state);
    watch_kind::<ReplicationControllerObject>(watches, state);
    watch_kind::<JobObject>(watches, state);
    watch_kind::<BudgetObject>(watches, state);
}

/// Notes that none of these kinds is watched.
pub(super) fn watch_none(state: &WatchedState) {
    state.queued.change(|state| {
        for kind in OwnerKind::ALL {
            state.set_owner_kind_unavailable(kind);
        }
        state.set_budgets_unavailable();
    });
}

fn watch_kind<T: OptionalKind>(watches: &mut Watches, state: &Arc<WatchedState>) {
    let known = Arc::clone(state);
    watches.add_optional(apply_changes::<T>(state), move |is_available| {
        let kind = QueuedObject {
            kind: "availability of a kind",
            id: T::KIND.into(),
        };
        known
            .queued
            .apply(kind, move |state| T::set_available(state, is_available));
    });
}

/// Implements a kind of owner. Arguments: the slim object, the API group, the kind, and
/// its plural.
macro_rules! owner {
    ($object:ident, $group:literal, $kind:ident, $plural:literal) => {
        impl SlimKind for $object {
            const GROUP: &str = $group;
            const KIND: &str = stringify!($kind);
            const PLURAL: &str = $plural;

            fn metadata(&self) -> &ObjectMetadata {
                self.metadata()
            }

            fn id(metadata: &ObjectMetadata) -> Name {
                metadata.uid.clone()
            }
        }

        impl StateKind for $object {
            fn apply(self, state: &mut ClusterState) {
                state.apply_owner(self.into_facts());
            }

            fn delete(state: &mut ClusterState, id: &str) {
                state.delete_owner(id);
            }
        }

        impl OptionalKind for $object {
            fn set_available(state: &mut ClusterState, is_available: bool) {
                if is_available {
                    state.set_owner_kind_available(OwnerKind::$kind);
                } else {
                    state.set_owner_kind_unavailable(OwnerKind::$kind);
                }
            }
        }
    };
}

owner!(ReplicaSetObject, "apps", ReplicaSet, "replicasets");
owner!(StatefulSetObject, "apps", StatefulSet, "statefulsets");
owner!(
    ReplicationControllerObject,
    "",
    ReplicationController,
    "replicationcontrollers"
);
owner!(JobObject, "batch", Job, "jobs");

impl SlimKind for BudgetObject {
    const GROUP: &str = "policy";
    const KIND: &str = "PodDisruptionBudget";
    const PLURAL: &str = "poddisruptionbudgets";

    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    fn id(metadata: &ObjectMetadata) -> Name {
        metadata.uid.clone()
    }
}

impl StateKind for BudgetObject {
    fn apply(self, state: &mut ClusterState) {
        state.apply_budget(self.into_facts());
    }

    fn delete(state: &mut ClusterState, id: &str) {
        state.delete_budget(id);
    }
}

impl OptionalKind for BudgetObject {
    fn set_available(state: &mut ClusterState, is_available: bool) {
        if is_available {
            state.set_budgets_available();
        } else {
            state.set_budgets_unavailable();
        }
    }
}
