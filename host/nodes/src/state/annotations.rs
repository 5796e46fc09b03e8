//! Which annotations of pods and nodes the state has.
//!
//! Objects have many annotations, and few are ever read. So only those are kept that the
//! host reads itself, or a policy wants. When a policy wants another one, all objects are
//! listed again, and the policy is asked once the list is complete.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ClusterState;

/// Keys of annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnotationKeys {
    /// All keys.
    All,
    /// These keys alone.
    Only(BTreeSet<Arc<str>>),
}

impl AnnotationKeys {
    /// Returns no key.
    #[must_use]
    pub const fn none() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// Returns whether a key is among them.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(keys) => keys.contains(key),
        }
    }

    /// Returns whether all these keys are among them.
    #[must_use]
    pub fn contains_all(&self, keys: &Self) -> bool {
        match (self, keys) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(own), Self::Only(keys)) => keys.is_subset(own),
        }
    }

    /// Adds a key.
    pub fn insert(&mut self, key: Arc<str>) {
        if let Self::Only(keys) = self {
            keys.insert(key);
        }
    }

    /// Returns the keys that are among both.
    #[must_use]
    pub fn shared_with(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, keys) | (keys, Self::All) => keys.clone(),
            (Self::Only(own), Self::Only(other)) => {
                Self::Only(own.intersection(other).cloned().collect())
            }
        }
    }
}

/// Keys of annotations that policies want, of pods and of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedAnnotations {
    /// Of pods.
    pub pods: AnnotationKeys,
    /// Of nodes.
    pub nodes: AnnotationKeys,
}

impl WantedAnnotations {
    /// All annotations: of a cluster that is not watched.
    pub const ALL: Self = Self {
        pods: AnnotationKeys::All,
        nodes: AnnotationKeys::All,
    };

    /// Returns no annotation.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            pods: AnnotationKeys::none(),
            nodes: AnnotationKeys::none(),
        }
    }
}

impl Default for WantedAnnotations {
    fn default() -> Self {
        Self::ALL
    }
}

impl ClusterState {
    /// Annotations that all pods and nodes have here if they have them at all. All of them,
    /// unless a watch has set less.
    #[must_use]
    pub fn listed_annotations(&self) -> &WantedAnnotations {
        &self.listed_annotations
    }

    /// Sets the keys of pods' annotations of which a list is complete.
    pub fn set_pod_annotations_listed(&mut self, keys: AnnotationKeys) {
        let nodes = self.listed_annotations.nodes.clone();
        self.set_annotations_listed(WantedAnnotations { pods: keys, nodes });
    }

    /// Sets the keys of nodes' annotations of which a list is complete.
    pub fn set_node_annotations_listed(&mut self, keys: AnnotationKeys) {
        let pods = self.listed_annotations.pods.clone();
        self.set_annotations_listed(WantedAnnotations { pods, nodes: keys });
    }

    fn set_annotations_listed(&mut self, listed: WantedAnnotations) {
        if self.listed_annotations != listed {
            self.listed_annotations = listed;
            self.count_drain_change();
        }
    }
}
