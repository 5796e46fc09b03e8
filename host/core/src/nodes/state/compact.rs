//! Forgetting classes that no pod is of any more, and names of what is gone.

use std::collections::{BTreeMap, BTreeSet};

use flyball_placement::ClassId;

use super::ClusterState;

/// So many classes, and so many kinds of nodes, are kept however few objects there are.
const MIN_CLASSES: usize = 4096;

/// So many texts are.
const MIN_TEXTS: usize = 4 * MIN_CLASSES;

/// What was left by the last time that the past was forgotten.
#[derive(Default)]
pub(super) struct CompactedSize {
    texts: usize,
    kinds: usize,
}

impl ClusterState {
    /// Builds the [`flyball_placement::Cluster`] anew once most of what it knows is of
    /// the past. Its cost is shared by the many changes that led there.
    pub(super) fn compact(&mut self) {
        let (pods, nodes) = (self.pods.len() + self.daemon_sets.len(), self.nodes.len());
        let cluster = &self.cluster;
        // An object brings some texts of its own; how many, the last time tells.
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
