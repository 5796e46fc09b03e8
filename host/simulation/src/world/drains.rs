//! What drains ask of the API server, in virtual time.

use flyball_nodes::ports::{EvictError, Eviction, NodeChange, StatusDocument, WriteError};

use super::World;

impl World {
    /// Changes a Node.
    pub(crate) fn update_node(&mut self, change: &NodeChange) -> Result<(), WriteError> {
        let now = self.now;
        let nodes = self.nodes.as_mut().ok_or(WriteError::Gone)?;
        nodes.update_node(now, change)
    }

    /// Deletes a Node object, not its instance.
    pub(crate) fn delete_node(&mut self, name: &str, uid: &str) -> Result<(), WriteError> {
        let nodes = self.nodes.as_mut().ok_or(WriteError::Gone)?;
        let lost = nodes.delete_node(name, uid)?;
        self.lose_pods(self.now, lost.into_iter());
        Ok(())
    }

    /// Evicts a pod. Its deletion is seen at once.
    pub(crate) fn evict(&mut self, eviction: &Eviction) -> Result<(), EvictError> {
        let now = self.now;
        let nodes = self.nodes.as_mut().ok_or(EvictError::Gone)?;
        let workloads = &self.workloads;
        let refuses = |pod: super::PodKey| {
            let workload = workloads.get(pod.workload);
            workload.is_some_and(|workload| workload.refuses_evictions(now))
        };
        let Some(pod) = nodes.evict(now, eviction, refuses)? else {
            return Ok(());
        };
        let workload = &mut self.workloads[pod.workload];
        let grace_ms = eviction.grace_seconds.map(|s| s.saturating_mul(1000));
        workload.evict_pod(now, pod.id, grace_ms);
        let changes = workload.take_pod_changes();
        nodes.take(pod.workload, &changes);
        Ok(())
    }

    /// Writes the status ConfigMap of the nodes half.
    pub(crate) fn write_status(&mut self, status: StatusDocument) {
        let known = self.status.get_or_insert_default();
        known.text = status.text;
        known.annotations.extend(status.annotations);
    }

    /// Returns the status ConfigMap of the nodes half, if it exists.
    pub(crate) fn status(&self) -> Option<&StatusDocument> {
        self.status.as_ref()
    }
}
