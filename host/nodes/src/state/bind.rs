//! Binding of pods to nodes, and the queue of pending pods.

use super::ClusterState;

impl ClusterState {
    /// Files a pod under its node, under the node that it is nominated to, or in the
    /// queue.
    pub(super) fn bind(&mut self, slot: u32) {
        let Some(name) = self.pods.node(slot).cloned() else {
            self.wait(slot);
            return;
        };
        let entry = self.nodes.entry(&name);
        entry.pods.push(slot);
        if let (Some(known), Some((class, terminating))) = (&entry.known, self.pods.running(slot)) {
            self.cluster.place(class, known.id, terminating);
        }
    }

    /// Queues a pending pod. A pod that is nominated to an existing node is not queued,
    /// since the scheduler makes room for it there.
    fn wait(&mut self, slot: u32) {
        if let Some(name) = self.pods.nominated(slot).cloned() {
            let entry = self.nodes.entry(&name);
            entry.nominated.push(slot);
            if entry.known.is_some() {
                return;
            }
        }
        self.pods.enqueue(slot);
    }

    /// Removes a pod from its node, or from the queue.
    pub(super) fn unbind(&mut self, slot: u32) {
        let bound = self.pods.node(slot).cloned();
        let name = bound.or_else(|| self.pods.nominated(slot).cloned());
        self.pods.dequeue(slot);
        let Some(name) = name else { return };
        let Some(entry) = self.nodes.get_mut(&name) else {
            return;
        };
        if let Some(at) = entry.pods.iter().position(|&known| known == slot) {
            entry.pods.swap_remove(at);
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
}
