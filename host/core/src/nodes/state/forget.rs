//! Forgetting classes that no pod is of any more.

use std::collections::{BTreeMap, BTreeSet};

use flyball_placement::ClassId;

use super::ClusterState;

/// So many classes are kept however few pods there are.
const LEAST_CLASSES: usize = 4096;

impl ClusterState {
    /// Builds the [`flyball_placement::Cluster`] anew once most of its classes are
    /// of the past. Its cost is shared by the many changes that led there.
    pub(super) fn forget_classes(&mut self) {
        let in_use = self.pods.len() + self.daemon_sets.len();
        if self.cluster.class_count() <= LEAST_CLASSES.max(2 * in_use) {
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
        self.cluster = cluster;
    }
}
