//! Compaction: drops classes that no pod has any more, and names of removed objects.

use std::collections::{BTreeMap, BTreeSet};

use flyball_placement::ClassId;

use super::ClusterState;

/// Number of classes, and of kinds of nodes, below which nothing is compacted.
const MIN_CLASSES: usize = 4096;

/// Number of interned texts below which nothing is compacted.
const MIN_TEXTS: usize = 4 * MIN_CLASSES;

/// Sizes after the last compaction.
#[derive(Default)]
pub(super) struct CompactedSize {
    texts: usize,
    kinds: usize,
}

impl ClusterState {
    /// Rebuilds the [`flyball_placement::Cluster`] once most of its contents are stale.
    /// The cost is amortized over the many changes in between.
    pub(super) fn compact(&mut self) {
        let (pods, nodes) = (self.pods.len() + self.daemon_sets.len(), self.nodes.len());
        let cluster = &self.cluster;
        // Each object has some texts of its own. The last compaction shows how many.
        let texts = MIN_TEXTS
            .max(4 * (pods + nodes))
            .max(2 * self.compacted.texts);
        let kinds = MIN_CLASSES.max(2 * nodes).max(2 * self.compacted.kinds);
        if cluster.class_count() <= MIN_CLASSES.max(2 * pods)
            && cluster.text_count() <= texts
            && cluster.kind_count() <= kinds
        {
            return;
        }
        let mut classes: BTreeSet<ClassId> = self.pods.classes().collect();
        classes.extend(self.daemon_sets.values().map(|(_, class)| *class));
        let (cluster, numbers) = self.cluster.rebuilt(classes.iter().copied());
        let numbers: BTreeMap<ClassId, ClassId> = classes.into_iter().zip(numbers).collect();
        self.pods.renumber(&numbers);
        self.budgets.renumber(&numbers);
        self.class_generation += 1;
        for (_, class) in self.daemon_sets.values_mut() {
            *class = numbers.get(class).copied().unwrap_or(*class);
        }
        self.compacted = CompactedSize {
            texts: cluster.text_count(),
            kinds: cluster.kind_count(),
        };
        self.cluster = cluster;
    }
}
