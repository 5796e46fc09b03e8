//! Pods as compact entries, and the queue of unschedulable pods.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;

use flyball_placement::ClassId;
use hashbrown::{DefaultHashBuilder, HashSet, HashTable};

use super::chunks::Chunks;
use super::drain_facts::DrainFacts;
use super::facts::{Owner, PodFacts, PodPhase};
use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;

/// Kind of the controller that makes one pod for each node.
pub(super) const DAEMON_SET: &str = "DaemonSet";

/// Value of [`PodEntry::queued`] for a pod that is not in the queue.
const NOT_QUEUED: u32 = u32::MAX;

/// Number of interned values below which unused ones are not dropped.
const MIN_INTERNED: usize = 1024;

/// A pod. The order of the fields goes on with that of [`PodFacts`].
#[repr(C)]
struct PodEntry {
    class: ClassId,
    priority: i32,
    /// Index in its class's queue.
    queued: u32,
    facts: PodFacts,
}

/// 150,000 pods take 24 MB here.
const _: () = assert!(size_of::<PodEntry>() <= 160);

/// A pod as the planner reads it.
#[derive(Clone, Copy)]
pub struct PodView<'a> {
    /// Its slot in the state. A removed pod's slot is reused.
    pub slot: u32,
    /// Unique over time.
    pub uid: &'a Arc<str>,
    /// Namespace and name.
    pub key: &'a ObjectKey,
    /// Its class: scheduling requirements that alike pods share.
    pub class: ClassId,
    /// Its priority.
    pub priority: i32,
    /// Its fields.
    pub facts: &'a PodFacts,
}

/// How a pod differs from what is known of it.
pub(super) enum PodChange {
    /// Not at all.
    None,
    /// Only in fields that only scale-down reads.
    Drain,
    /// In other fields.
    Any,
}

impl PodView<'_> {
    /// Whether it uses room on its node and is not being deleted.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.facts.exists()
    }

    /// Whether it counts as a pod of a DaemonSet, because of its controller or its
    /// annotation. As in Cluster Autoscaler, no annotation makes a DaemonSet's pod an
    /// ordinary one.
    #[must_use]
    pub fn of_daemon_set(&self) -> bool {
        self.is_owned_by_daemon_set() || self.facts.like_daemon_set
    }

    /// Whether a DaemonSet is its controller.
    #[must_use]
    pub fn is_owned_by_daemon_set(&self) -> bool {
        self.facts.is_owned_by_daemon_set()
    }
}

/// All pods.
#[derive(Default)]
pub(super) struct PodTable {
    slots: Chunks<PodEntry>,
    /// Slots by the uid of their pod.
    by_uid: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Interned texts that many pods share.
    texts: HashSet<Arc<str>>,
    /// Number of texts at which unused ones are dropped.
    texts_limit: usize,
    /// Interned controllers.
    owners: HashSet<Arc<Owner>>,
    owners_limit: usize,
    /// Interned facts for scale-down.
    drains: HashSet<Arc<DrainFacts>>,
    drains_limit: usize,
    /// Slots of the pending pods that the scheduler found no node for, or that it
    /// nominated to a node that does not exist, by class.
    pub(super) unschedulable: BTreeMap<ClassId, Vec<u32>>,
    pub(super) new_unschedulable: bool,
}

impl PodTable {
    pub(super) fn len(&self) -> usize {
        self.by_uid.len()
    }

    pub(super) fn find(&self, uid: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(uid);
        let slot = self.by_uid.find(hash, |&slot| self.has_uid(slot, uid));
        slot.copied()
    }

    fn has_uid(&self, slot: u32, uid: &str) -> bool {
        self.entry(slot).is_some_and(|pod| *pod.facts.uid == *uid)
    }

    fn entry(&self, slot: u32) -> Option<&PodEntry> {
        self.slots.get(slot)
    }

    /// The uids of all pods, in no order that matters.
    pub(super) fn uids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.slots.iter().map(|entry| &entry.facts.uid)
    }

    pub(super) fn view(&self, slot: u32) -> Option<PodView<'_>> {
        let entry = self.entry(slot)?;
        Some(PodView {
            slot,
            uid: &entry.facts.uid,
            key: &entry.facts.key,
            class: entry.class,
            priority: entry.priority,
            facts: &entry.facts,
        })
    }

    pub(super) fn node(&self, slot: u32) -> Option<&Arc<str>> {
        self.entry(slot)?.facts.node.as_ref()
    }

    /// Sets the name of a pod's node to a copy that other pods share.
    pub(super) fn share_node(&mut self, slot: u32, name: Arc<str>) {
        if let Some(entry) = self.slots.get_mut(slot) {
            entry.facts.node = Some(name);
        }
    }

    /// The node that a pending pod is nominated to.
    pub(super) fn nominated(&self, slot: u32) -> Option<&Arc<str>> {
        let facts = &self.entry(slot)?.facts;
        let waits = facts.node.is_none() && facts.phase == PodPhase::Pending;
        let waits = waits && facts.deletion.is_none();
        facts.nominated.as_ref().filter(|_| waits)
    }

    /// The class of a pod, and whether it is being deleted. `None` if it has ended.
    pub(super) fn running(&self, slot: u32) -> Option<(ClassId, bool)> {
        let entry = self.entry(slot)?;
        let facts = &entry.facts;
        (!facts.has_ended()).then_some((entry.class, facts.deletion.is_some()))
    }

    pub(super) fn class(&self, slot: u32) -> Option<ClassId> {
        Some(self.entry(slot)?.class)
    }

    /// The uid of a pod's owner, and whether the pod has not ended and is not being
    /// deleted.
    pub(super) fn owner(&self, slot: u32) -> Option<(&Arc<str>, bool)> {
        let facts = &self.entry(slot)?.facts;
        Some((&facts.owner.as_ref()?.uid, facts.exists()))
    }

    /// When a pod came to its node. `None` for the node's own pods.
    pub(super) fn came(&self, slot: u32) -> Option<Timestamp> {
        Some(self.of_applications(slot)?.created)
    }

    /// When a pod that is gone left its node, at the latest. `None` for the node's own
    /// pods, or if it is not known.
    pub(super) fn went(&self, slot: u32) -> Option<Timestamp> {
        self.of_applications(slot)?.deletion
    }

    fn of_applications(&self, slot: u32) -> Option<&PodFacts> {
        let view = self.view(slot)?;
        view.facts.is_of_application().then_some(view.facts)
    }

    pub(super) fn compare(&self, slot: u32, facts: &PodFacts, class: ClassId) -> PodChange {
        match self.entry(slot) {
            Some(entry) if entry.class == class && entry.facts.is_same_for_scale_up(facts) => {
                if entry.facts == *facts {
                    PodChange::None
                } else {
                    PodChange::Drain
                }
            }
            _ => PodChange::Any,
        }
    }

    /// Sets the fields that only scale-down reads.
    pub(super) fn set_drain(&mut self, slot: u32, mut facts: PodFacts) {
        intern(&mut self.drains, &mut self.drains_limit, &mut facts.drain);
        if let Some(entry) = self.slots.get_mut(slot) {
            entry.facts.drain = facts.drain;
            entry.facts.ready = facts.ready;
        }
    }

    pub(super) fn put(
        &mut self,
        slot: Option<u32>,
        mut facts: PodFacts,
        class: ClassId,
        priority: i32,
    ) -> u32 {
        intern(
            &mut self.texts,
            &mut self.texts_limit,
            &mut facts.key.namespace,
        );
        if let Some(node) = &mut facts.nominated {
            intern(&mut self.texts, &mut self.texts_limit, node);
        }
        if let Some(owner) = &mut facts.owner {
            intern(&mut self.owners, &mut self.owners_limit, owner);
        }
        intern(&mut self.drains, &mut self.drains_limit, &mut facts.drain);
        let hash = self.hasher.hash_one(&*facts.uid);
        let new = PodEntry {
            class,
            priority,
            queued: NOT_QUEUED,
            facts,
        };
        if let Some(slot) = slot
            && let Some(entry) = self.slots.get_mut(slot)
        {
            *entry = new;
            return slot;
        }
        let slot = self.slots.add(new);
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |&slot: &u32| {
            let entry = slots.get(slot);
            entry.map_or(0, |entry| hasher.hash_one(&*entry.facts.uid))
        };
        self.by_uid.insert_unique(hash, slot, rehash);
        slot
    }

    pub(super) fn remove(&mut self, slot: u32) {
        if let Some(entry) = self.slots.remove(slot) {
            let hash = self.hasher.hash_one(&*entry.facts.uid);
            if let Ok(known) = self.by_uid.find_entry(hash, |&known| known == slot) {
                known.remove();
            }
        }
    }

    /// Puts a pending pod without a node in the queue, if it is unschedulable or was
    /// nominated. In the latter case its node does not exist, and the scheduler has not
    /// noticed yet.
    pub(super) fn enqueue(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        let facts = &entry.facts;
        let seeks = facts.unschedulable || facts.nominated.is_some();
        if !seeks || facts.phase != PodPhase::Pending || facts.deletion.is_some() {
            return;
        }
        let queue = self.unschedulable.entry(entry.class).or_default();
        entry.queued = u32::try_from(queue.len()).unwrap_or(NOT_QUEUED);
        queue.push(slot);
        self.new_unschedulable = true;
    }

    /// Removes a pod from the queue, if it is there.
    pub(super) fn dequeue(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        let at = std::mem::replace(&mut entry.queued, NOT_QUEUED) as usize;
        let class = entry.class;
        let Some(queue) = self.unschedulable.get_mut(&class) else {
            return;
        };
        if queue.get(at) != Some(&slot) {
            return;
        }
        queue.swap_remove(at);
        let moved = queue.get(at).copied();
        if queue.is_empty() {
            self.unschedulable.remove(&class);
        }
        let moved = moved.and_then(|moved| self.slots.get_mut(moved));
        if let Some(moved) = moved {
            moved.queued = u32::try_from(at).unwrap_or(NOT_QUEUED);
        }
    }

    /// The classes of all pods.
    pub(super) fn classes(&self) -> impl Iterator<Item = ClassId> {
        self.slots.iter().map(|entry| entry.class)
    }

    /// Replaces class ids after a compaction.
    pub(super) fn renumber(&mut self, numbers: &BTreeMap<ClassId, ClassId>) {
        let anew = |class: ClassId| numbers.get(&class).copied().unwrap_or(class);
        for entry in self.slots.iter_mut() {
            entry.class = anew(entry.class);
        }
        let queues = std::mem::take(&mut self.unschedulable).into_iter();
        self.unschedulable = queues.map(|(class, slots)| (anew(class), slots)).collect();
    }
}

/// Interns a value that recurs, such as a node's name or an owner. `most` is the number of
/// values at which unused ones are dropped.
pub(super) fn intern<T: Hash + Eq + ?Sized>(
    known: &mut HashSet<Arc<T>>,
    most: &mut usize,
    value: &mut Arc<T>,
) {
    if let Some(same) = known.get(value) {
        *value = Arc::clone(same);
        return;
    }
    if known.len() >= *most {
        known.retain(|known| Arc::strong_count(known) > 1);
        *most = MIN_INTERNED.max(known.len() * 2);
    }
    known.insert(Arc::clone(value));
}
