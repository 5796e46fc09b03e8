//! Binding of pods to nodes and owners, and the queue of pending pods.

use std::sync::Arc;

use flyball_decision::time::Timestamp;

use super::{ClusterState, GonePod};

impl ClusterState {
    /// Files a pod under its owner, and under its node, under the node that it is
    /// nominated to, or in the queue.
    pub(super) fn bind(&mut self, slot: u32) {
        if let Some((owner, exists)) = self.pods.owner(slot) {
            self.owners.add_pod(owner, slot, exists);
        }
        let Some(name) = self.pods.node(slot).cloned() else {
            self.wait(slot);
            return;
        };
        let (shared, entry) = self.nodes.entry(&name);
        entry.pods.push(slot);
        entry.changed = self.drain_revision;
        entry.last_pod_change = entry.last_pod_change.max(self.pods.came(slot));
        if let (Some(known), Some((class, terminating))) = (&entry.known, self.pods.running(slot)) {
            self.cluster.place(class, known.id, terminating);
        }
        if !Arc::ptr_eq(&shared, &name) {
            self.pods.share_node(slot, shared);
        }
    }

    /// Queues a pending pod. A pod that is nominated to an existing node is not queued,
    /// since the scheduler makes room for it there.
    fn wait(&mut self, slot: u32) {
        if let Some(name) = self.pods.nominated(slot).cloned() {
            let (_, entry) = self.nodes.entry(&name);
            entry.nominated.push(slot);
            entry.changed = self.drain_revision;
            if entry.known.is_some() {
                return;
            }
        }
        self.pods.enqueue(slot);
    }

    /// Removes a pod from its owner, and from its node or from the queue. `went`: when a pod
    /// that is gone left its node, which the node notes.
    pub(super) fn unbind(&mut self, slot: u32, went: Option<Timestamp>) {
        if let Some((owner, exists)) = self.pods.owner(slot) {
            self.owners.remove_pod(owner, slot, exists);
        }
        let bound = self.pods.node(slot).cloned();
        let name = bound.or_else(|| self.pods.nominated(slot).cloned());
        self.pods.dequeue(slot);
        let Some(name) = name else { return };
        let Some(entry) = self.nodes.get_mut(&name) else {
            return;
        };
        entry.changed = self.drain_revision;
        if let Some(at) = entry.pods.iter().position(|&known| known == slot) {
            entry.pods.swap_remove(at);
            entry.last_pod_change = entry.last_pod_change.max(went);
            if let (Some(known), Some((class, terminating))) =
                (&entry.known, self.pods.running(slot))
            {
                self.cluster.unplace(class, known.id, terminating);
            }
        }
        entry.nominated.retain(|&known| known != slot);
        if entry.is_unused() {
            self.nodes.remove(&name);
        }
    }

    /// Marks the node that a pod is bound or nominated to.
    pub(super) fn mark_node_of(&mut self, slot: u32) {
        let name = self.pods.node(slot).or_else(|| self.pods.nominated(slot));
        if let Some(entry) = name.and_then(|name| self.nodes.get_mut(name)) {
            entry.changed = self.drain_revision;
        }
    }

    /// Notes on its node that a pod has come and gone, whether the state knew it or not.
    pub(super) fn note_gone_pod(&mut self, gone: &GonePod) {
        let entry = gone.node.as_ref().and_then(|node| self.nodes.get_mut(node));
        if let Some(entry) = entry {
            entry.last_pod_change = entry.last_pod_change.max(gone.changed);
        }
    }
}
