//! Compaction: drops classes that no pod has any more, and names of removed objects.

use std::collections::{BTreeMap, BTreeSet};

use flyball_placement::ClassId;

use super::ClusterState;

/// Number of classes, and of kinds of nodes, below which nothing is compacted.
const MIN_CLASSES: usize = 4096;

/// Number of interned texts below which nothing is compacted.
const MIN_TEXTS: usize = 4 * MIN_CLASSES;

/// Number of classes that no pod has any more, or that are known twice, for which it is worth
/// compacting if pods are not judged because of them: at least this, and this part of all
/// classes. It is counted after as many changes.
const MIN_UNUSED: u64 = 64;
const UNUSED_PART: u64 = 16;

/// Sizes after the last compaction.
#[derive(Default)]
pub(super) struct CompactedSize {
    texts: usize,
    kinds: usize,
    /// Revision of the state at which the classes in use were counted last.
    looked_at: u64,
}

impl ClusterState {
    /// Rebuilds the [`flyball_placement::Cluster`] once most of its contents are stale.
    /// The cost is amortized over the many changes in between.
    pub(super) fn compact(&mut self) {
        let (pods, nodes) = (self.pods.len() + self.daemon_sets.len(), self.nodes.len());
        let may_judge_more_pods = self.may_judge_more_pods();
        let cluster = &self.cluster;
        // Each object has some texts of its own. The last compaction shows how many.
        let texts = MIN_TEXTS
            .max(4 * (pods + nodes))
            .max(2 * self.compacted.texts);
        let kinds = MIN_CLASSES.max(2 * nodes).max(2 * self.compacted.kinds);
        if cluster.class_count() <= MIN_CLASSES.max(2 * pods)
            && !may_judge_more_pods
            && cluster.text_count() <= texts
            && cluster.kind_count() <= kinds
        {
            return;
        }
        let classes = self.used_classes();
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
            looked_at: self.revision,
        };
        self.cluster = cluster;
    }

    /// The classes of the present pods.
    fn used_classes(&self) -> BTreeSet<ClassId> {
        let mut classes: BTreeSet<ClassId> = self.pods.classes().collect();
        classes.extend(self.daemon_sets.values().map(|(_, class)| *class));
        classes
    }

    /// Whether pods are not judged because of too many connections of their terms, of which
    /// pods that are gone may have had a part, or pods as they were known before.
    fn may_judge_more_pods(&mut self) -> bool {
        let changes = self.revision - self.compacted.looked_at;
        let classes = u64::try_from(self.cluster.class_count()).unwrap_or(u64::MAX);
        if !self.cluster.has_too_many_connections()
            || changes < MIN_UNUSED.max(classes / UNUSED_PART)
        {
            return false;
        }
        self.compacted.looked_at = self.revision;
        let used = u64::try_from(self.used_classes().len()).unwrap_or(u64::MAX);
        let reshaped = u64::try_from(self.cluster.reshaped_count()).unwrap_or(u64::MAX);
        let least = MIN_UNUSED.max(used / UNUSED_PART);
        classes >= used + least || reshaped >= least
    }
}
