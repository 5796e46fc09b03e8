//! Owners of pods: the watched controllers, and the pods that each has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use hashbrown::HashMap;

use super::ClusterState;
use super::facts::Owner;
use super::pod_table::{DAEMON_SET, PodView};

/// Kind of a watched owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OwnerKind {
    /// apps/v1 ReplicaSet.
    ReplicaSet,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// v1 ReplicationController.
    ReplicationController,
    /// batch/v1 Job.
    Job,
}

impl OwnerKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::ReplicationController,
        Self::Job,
    ];

    /// Returns the kind's name in Kubernetes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::ReplicationController => "ReplicationController",
            Self::Job => "Job",
        }
    }

    /// Returns the kind of this name. `None` if objects of the kind are not watched.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A ReplicaSet, StatefulSet, ReplicationController or Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerFacts {
    /// metadata.uid.
    pub uid: Arc<str>,
    /// Its kind.
    pub kind: OwnerKind,
    /// Namespace and name.
    pub key: ObjectKey,
    /// spec.replicas; for a Job spec.parallelism. `None` if it is not set.
    pub desired: Option<i32>,
    /// status.readyReplicas; for a Job status.ready. 0 if it is not set.
    pub ready: i32,
    /// Whether metadata.deletionTimestamp is set.
    pub deleting: bool,
}

/// The watched owners, and the pods by owner.
#[derive(Default)]
pub(super) struct OwnerTable {
    known: BTreeMap<Arc<str>, OwnerFacts>,
    /// Owners of any kind that have pods, whether or not they are known.
    pods: HashMap<Arc<str>, OwnedPods>,
    /// Kinds that cannot be watched.
    unavailable: BTreeSet<OwnerKind>,
    no_daemon_sets: bool,
}

#[derive(Default)]
struct OwnedPods {
    slots: Vec<u32>,
    /// Number of those that have not ended and are not being deleted.
    existing: u32,
}

impl OwnerTable {
    /// Adds a pod to its owner. `exists`: it has not ended and is not being deleted.
    pub(super) fn add_pod(&mut self, owner: &Arc<str>, slot: u32, exists: bool) {
        if !self.pods.contains_key(owner) {
            self.pods.insert(Arc::clone(owner), OwnedPods::default());
        }
        let Some(pods) = self.pods.get_mut(owner) else {
            return;
        };
        pods.slots.push(slot);
        pods.existing += u32::from(exists);
    }

    /// Removes a pod from its owner. `exists` as it was when the pod was added.
    pub(super) fn remove_pod(&mut self, owner: &Arc<str>, slot: u32, exists: bool) {
        let Some(pods) = self.pods.get_mut(owner) else {
            return;
        };
        if let Some(at) = pods.slots.iter().position(|&known| known == slot) {
            pods.slots.swap_remove(at);
            pods.existing = pods.existing.saturating_sub(u32::from(exists));
        }
        if pods.slots.is_empty() {
            self.pods.remove(owner);
        }
    }

    fn slots(&self, uid: &str) -> &[u32] {
        self.pods.get(uid).map_or(&[], |pods| &pods.slots)
    }
}

impl ClusterState {
    /// Adds or updates an owner of pods.
    pub fn apply_owner(&mut self, facts: OwnerFacts) {
        let uid = Arc::clone(&facts.uid);
        let Some(known) = self.owners.known.get(&uid) else {
            self.owners.known.insert(Arc::clone(&uid), facts);
            self.owner_changed(&uid);
            return;
        };
        if *known == facts {
            return;
        }
        // Ready pods come one by one in each rollout, and decide nothing.
        let only_ready = OwnerFacts {
            ready: known.ready,
            ..facts.clone()
        } == *known;
        self.owners.known.insert(Arc::clone(&uid), facts);
        if only_ready {
            self.count_drain_change();
        } else {
            self.owner_changed(&uid);
        }
    }

    /// Removes an owner of pods. Its pods stay until they are deleted.
    pub fn delete_owner(&mut self, uid: &str) {
        if self.owners.known.remove(uid).is_some() {
            self.owner_changed(uid);
        }
    }

    /// A ReplicaSet, StatefulSet, ReplicationController or Job. `None` if there is none of
    /// this uid, or if its kind is not known ([`Self::knows_owners_of`]).
    #[must_use]
    pub fn owner(&self, uid: &str) -> Option<&OwnerFacts> {
        self.owners.known.get(uid)
    }

    /// All watched owners, ordered by uid.
    pub fn owners(&self) -> impl Iterator<Item = &OwnerFacts> {
        self.owners.known.values()
    }

    /// Number of pods of an owner of any kind that have not ended and are not being
    /// deleted.
    #[must_use]
    pub fn pods_of_owner(&self, uid: &str) -> u32 {
        self.owners.pods.get(uid).map_or(0, |pods| pods.existing)
    }

    /// The pods of an owner of any kind, in no order.
    pub fn owned_pods(&self, uid: &str) -> impl Iterator<Item = PodView<'_>> {
        let slots = self.owners.slots(uid).iter();
        slots.filter_map(|&slot| self.pods.view(slot))
    }

    /// Whether all existing owners of this kind are known. False for kinds that are not
    /// watched: there, nothing follows from an owner that is not found.
    #[must_use]
    pub fn knows_owners_of(&self, kind: &str) -> bool {
        match OwnerKind::find(kind) {
            Some(kind) => !self.owners.unavailable.contains(&kind),
            None => kind == DAEMON_SET && !self.owners.no_daemon_sets,
        }
    }

    /// Whether the owner of a pod exists, a DaemonSet too. `None` if owners of its kind
    /// are not known.
    #[must_use]
    pub fn owner_exists(&self, owner: &Owner) -> Option<bool> {
        let exists = || match &*owner.kind {
            DAEMON_SET => self.daemon_sets.contains_key(&owner.uid),
            _ => self.owners.known.contains_key(&owner.uid),
        };
        self.knows_owners_of(&owner.kind).then(exists)
    }

    /// Notes that DaemonSets cannot be read.
    pub fn set_daemon_sets_unavailable(&mut self) {
        if !std::mem::replace(&mut self.owners.no_daemon_sets, true) {
            self.count_drain_change_of_all();
        }
    }

    /// Notes that owners of this kind cannot be read, for want of a right or of the kind.
    pub fn set_owner_kind_unavailable(&mut self, kind: OwnerKind) {
        if self.owners.unavailable.insert(kind) {
            self.count_drain_change_of_all();
        }
    }

    /// Notes that owners of this kind can be read, as is assumed from the start.
    pub fn set_owner_kind_available(&mut self, kind: OwnerKind) {
        if self.owners.unavailable.remove(&kind) {
            self.count_drain_change_of_all();
        }
    }

    fn owner_changed(&mut self, uid: &str) {
        self.count_drain_change();
        self.mark_nodes_of_owner(uid);
    }

    /// Marks the nodes of an owner's pods.
    pub(super) fn mark_nodes_of_owner(&mut self, uid: &str) {
        for &slot in self.owners.slots(uid) {
            let entry = self.pods.node(slot).and_then(|n| self.nodes.get_mut(n));
            if let Some(entry) = entry {
                entry.changed = self.drain_revision;
            }
        }
    }
}
