//! Which of the nodes that a pod fits on is the better one.

use super::nodes::{CPU, MEMORY};
use super::{ClassId, Cluster, NodeId};

/// The best score of each of the two parts.
const BEST: i128 = 100;

impl Cluster {
    /// How well a node suits a pod that fits there: from 0 to 200, more is better.
    ///
    /// The sum of what two of kube-scheduler's plugins look at, over cpu and memory
    /// and with the pod placed: NodeResourcesLeastAllocated (the mean share that
    /// stays free) and NodeResourcesBalancedAllocation (how near the two shares in
    /// use are to each other). Preferences of pods, images and soft constraints
    /// don't count, nor does the least that the scheduler takes a container without
    /// requests to use.
    pub fn score(&self, class: ClassId, node: NodeId) -> i64 {
        let used = [CPU, MEMORY].map(|column| self.used_share(class, node, column));
        let mean_free = used.iter().map(|share| BEST - share).sum::<i128>() / 2;
        let balance = BEST - (used[0] - used[1]).abs() / 2;
        i64::try_from(mean_free + balance).unwrap_or(0)
    }

    /// Hundredths of a node's resource that are in use with one more pod.
    fn used_share(&self, class: ClassId, node: NodeId, column: usize) -> i128 {
        let allocatable = i128::from(self.nodes.allocatable_of(column, node));
        if allocatable <= 0 {
            return BEST;
        }
        let amounts = self.classes.request(class).amounts();
        let request: i128 = amounts
            .filter(|(requested, _)| *requested == column)
            .map(|(_, amount)| i128::from(amount))
            .sum();
        let used = allocatable - i128::from(self.nodes.free_of(column, node)) + request;
        (BEST * used / allocatable).clamp(0, BEST)
    }
}
