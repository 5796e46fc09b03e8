//! Annotations that policies want, and how watches learn of them.

use flyball_nodes::queued_state::QueuedState;
use flyball_nodes::state::{AnnotationKeys, WantedAnnotations};
use kube::runtime::watcher::Event;
use tokio::sync::watch;

/// The keys of annotations that the watches of pods and nodes keep. They list all objects
/// again when their keys change.
pub(crate) struct AnnotationWishes {
    pub(crate) pods: watch::Sender<AnnotationKeys>,
    pub(super) nodes: watch::Sender<AnnotationKeys>,
}

impl Default for AnnotationWishes {
    fn default() -> Self {
        Self {
            pods: watch::Sender::new(AnnotationKeys::none()),
            nodes: watch::Sender::new(AnnotationKeys::none()),
        }
    }
}

impl AnnotationWishes {
    /// Sets the keys. Until a new list is complete, only those count as listed that were
    /// wanted before too.
    pub(super) fn set(&self, wanted: &WantedAnnotations, state: &QueuedState) {
        if replace(&self.pods, &wanted.pods) {
            let wanted = wanted.pods.clone();
            state.change(move |state| {
                let listed = state.listed_annotations().pods.shared_with(&wanted);
                state.set_pod_annotations_listed(listed);
            });
        }
        if replace(&self.nodes, &wanted.nodes) {
            let wanted = wanted.nodes.clone();
            state.change(move |state| {
                let listed = state.listed_annotations().nodes.shared_with(&wanted);
                state.set_node_annotations_listed(listed);
            });
        }
    }
}

/// Replaces the keys. Returns whether they have changed.
fn replace(keys: &watch::Sender<AnnotationKeys>, wanted: &AnnotationKeys) -> bool {
    keys.send_if_modified(|keys| {
        let differs = keys != wanted;
        if differs {
            keys.clone_from(wanted);
        }
        differs
    })
}

/// The keys that a list under way keeps from its begin to its end.
pub(crate) struct ListedKeys {
    wanted: watch::Receiver<AnnotationKeys>,
    /// Keys at the begin of the list.
    at_begin: AnnotationKeys,
}

impl ListedKeys {
    pub(crate) fn new(wanted: watch::Receiver<AnnotationKeys>) -> Self {
        Self {
            wanted,
            at_begin: AnnotationKeys::none(),
        }
    }

    /// Returns the keys with which an object is read.
    pub(crate) fn wanted(&self) -> AnnotationKeys {
        self.wanted.borrow().clone()
    }

    /// Notes an event. Returns the keys that all objects were listed with if a list is
    /// complete.
    pub(crate) fn note<K>(&mut self, event: &Event<K>) -> Option<AnnotationKeys> {
        match event {
            Event::Init => {
                self.at_begin = self.wanted();
                None
            }
            Event::InitDone => Some(self.at_begin.shared_with(&self.wanted())),
            Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => None,
        }
    }
}
