//! Scoring of the nodes that a pod fits on.

use super::nodes::{CPU, MEMORY};
use super::{ClassId, Cluster, NodeId};

/// Best score of each of the two plugins.
const BEST: i128 = 100;

impl Cluster {
    /// Returns the score of a node for a pod that fits there: from 0 to 200, higher is
    /// better.
    ///
    /// The score is the sum of two of kube-scheduler's plugins, over cpu and memory and
    /// with the pod placed: NodeResourcesLeastAllocated (the mean share that stays
    /// free) and NodeResourcesBalancedAllocation (how close the two used shares are).
    /// Preferences of pods, images and soft constraints are not included, nor are the
    /// scheduler's default requests of containers without requests. Soft taints are
    /// compared by [`Self::untolerated_soft_taints`].
    pub fn score(&self, class: ClassId, node: NodeId) -> i64 {
        let used = [CPU, MEMORY].map(|column| self.used_share(class, node, column));
        let mean_free = used.iter().map(|share| BEST - share).sum::<i128>() / 2;
        let balance = BEST - (used[0] - used[1]).abs() / 2;
        i64::try_from(mean_free + balance).unwrap_or(0)
    }

    /// Returns the number of the node's taints with effect PreferNoSchedule that the pod
    /// does not tolerate. kube-scheduler's plugin TaintToleration scores a node by it,
    /// compared with the largest number on a node where the pod fits.
    pub fn untolerated_soft_taints(&self, class: ClassId, node: NodeId) -> usize {
        let pod = self.statics.get(self.classes.key(class).statics);
        let slot = self.nodes.get(node);
        slot.map_or(0, |slot| {
            self.statics
                .untolerated_soft(pod.tolerations, &slot.node.taints)
        })
    }

    /// Returns the used share of a node's resource with one more pod, in percent.
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
