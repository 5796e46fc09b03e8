//! The nodes half's view of the cluster: watches of nodes, pods, namespaces, DaemonSets
//! and storage keep one [`QueuedState`] up to date.
//!
//! No watch waits for a pass, nor does the replica half, which shares the watch of pods.
//! ConfigMaps that configure expanders are watched too, and owners of pods and
//! PodDisruptionBudgets are if nodes are scaled down.

mod annotations;
mod guards;
mod watched;

use std::sync::Arc;

use flyball_nodes::cluster_configuration::ClusterConfiguration;
use flyball_nodes::ports::{ExpanderConfiguration, NodesReader};
use flyball_nodes::queued_state::QueuedState;
use flyball_nodes::state::{AnnotationKeys, ClusterState, WantedAnnotations};
use tokio::sync::watch;
use tokio::task::block_in_place;

pub(crate) use self::annotations::{AnnotationWishes, ListedKeys};
use self::watched::{StateKind, apply_changes, apply_node_changes};
use crate::configuration_watch::ConfigurationWatch;
use crate::slim::{
    ClaimObject, CsiDriverObject, CsiNodeObject, DaemonSetObject, NamespaceObject,
    StorageCapacityObject, StorageClassObject, VolumeAttachmentObject, VolumeObject,
};
use crate::watch::Watches;

/// What a [`ClusterWatch`] watches besides pods, nodes, DaemonSets and storage.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterWatchOptions<'a> {
    /// The ConfigMaps that configure expanders.
    pub configurations: &'a [ClusterConfiguration],
    /// Whether to watch what scale-down reads: ReplicaSets, StatefulSets,
    /// ReplicationControllers, Jobs and PodDisruptionBudgets. A kind that the API server
    /// refuses is named in a warning, and the state knows that it is not known.
    pub scale_down: bool,
}

/// Watches of the cluster for the nodes half. They end when the last clone is dropped.
#[derive(Clone)]
pub struct ClusterWatch {
    inner: Arc<Inner>,
}

struct Inner {
    state: Arc<WatchedState>,
    configurations: Vec<ConfigurationWatch>,
    watches: Watches,
    pod_watch: Arc<Watches>,
}

impl ClusterWatch {
    /// Starts the watches of all kinds except pods, which `pod_watch` adds to `state`.
    pub(crate) fn new(
        mut watches: Watches,
        state: Arc<WatchedState>,
        pod_watch: Arc<Watches>,
        options: ClusterWatchOptions<'_>,
    ) -> Self {
        let configurations = options.configurations.iter().cloned();
        let configurations = configurations
            .map(|configuration| ConfigurationWatch::start(configuration, &mut watches))
            .collect();
        watch_kind::<NamespaceObject>(&mut watches, &state);
        let wanted = state.annotations.nodes.subscribe();
        watches.add_listing_again(wanted, apply_node_changes(&state));
        watch_kind::<DaemonSetObject>(&mut watches, &state);
        watch_kind::<ClaimObject>(&mut watches, &state);
        watch_kind::<VolumeObject>(&mut watches, &state);
        watch_kind::<StorageClassObject>(&mut watches, &state);
        watch_kind::<CsiDriverObject>(&mut watches, &state);
        watch_kind::<CsiNodeObject>(&mut watches, &state);
        watch_kind::<StorageCapacityObject>(&mut watches, &state);
        watch_kind::<VolumeAttachmentObject>(&mut watches, &state);
        if options.scale_down {
            guards::watch_all(&mut watches, &state);
        } else {
            guards::watch_none(&state);
        }
        let inner = Inner {
            state,
            configurations,
            watches,
            pod_watch,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Waits until the first list of each kind is complete.
    pub async fn synced(&self) {
        self.inner.watches.synced().await;
        self.inner.pod_watch.synced().await;
        for configuration in &self.inner.configurations {
            configuration.synced().await;
        }
    }

    /// Returns a receiver that changes when a pod has become unschedulable, to wake the
    /// loop.
    #[must_use]
    pub fn waiting(&self) -> watch::Receiver<u64> {
        self.inner.state.unschedulable.subscribe()
    }
}

impl NodesReader for ClusterWatch {
    fn synced(&self) -> bool {
        let mut configurations = self.inner.configurations.iter();
        self.inner.watches.are_synced()
            && self.inner.pod_watch.are_synced()
            && configurations.all(ConfigurationWatch::is_synced)
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        // A plan may take long: other tasks of this thread continue on another one.
        block_in_place(|| self.inner.state.queued.with(work))
    }

    fn hold(&self) {
        self.inner.state.queued.hold();
    }

    fn release(&self) {
        block_in_place(|| self.inner.state.queued.release());
    }

    fn want_annotations(&self, wanted: &WantedAnnotations) {
        let state = &self.inner.state;
        state.annotations.set(wanted, &state.queued);
    }

    fn expander_configuration(&self, expander: &str) -> Option<ExpanderConfiguration> {
        let mut configurations = self.inner.configurations.iter();
        configurations
            .find(|configuration| configuration.expander == expander)?
            .latest()
    }
}

/// Watches all objects of a kind and applies changes to the state.
fn watch_kind<T: StateKind>(watches: &mut Watches, state: &Arc<WatchedState>) {
    watches.add(apply_changes::<T>(state));
}

/// The state, and a counter of when it wakes the loop.
pub(crate) struct WatchedState {
    pub(crate) queued: QueuedState,
    /// Annotations that policies want.
    pub(crate) annotations: AnnotationWishes,
    /// Incremented when pods have become unschedulable.
    unschedulable: watch::Sender<u64>,
}

impl Default for WatchedState {
    fn default() -> Self {
        let unschedulable = watch::Sender::default();
        let wake = unschedulable.clone();
        let mut state = ClusterState::new();
        state.set_pod_annotations_listed(AnnotationKeys::none());
        state.set_node_annotations_listed(AnnotationKeys::none());
        Self {
            queued: QueuedState::new(state, move || {
                wake.send_modify(|count: &mut u64| *count += 1);
            }),
            annotations: AnnotationWishes::default(),
            unschedulable,
        }
    }
}

#[cfg(test)]
mod tests {
    use flyball_nodes::state::ClusterState;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use crate::slim::NodeObject;
    use crate::watch::{Change, KnownIds, Slim};

    fn node(name: &str) -> Result<Slim<NodeObject>, serde_json::Error> {
        serde_json::from_value(json!({
            "metadata": { "name": name, "resourceVersion": "7" },
            "status": { "allocatable": { "cpu": "1", "pods": "9" } },
        }))
    }

    fn names(state: &ClusterState) -> Vec<String> {
        let nodes = state.nodes();
        nodes.map(|node| node.facts.node.name.to_string()).collect()
    }

    #[test]
    fn what_a_new_list_does_not_name_has_gone() -> Result<(), serde_json::Error> {
        let (mut known, mut state) = (KnownIds::default(), ClusterState::new());
        let mut take = |state: &mut ClusterState, event| {
            known.changes(event, |change: Change<NodeObject>| match change {
                Change::Apply(node) => state.apply_node(node.into_facts()),
                Change::Delete(id) => state.delete_node(&id),
            });
        };
        take(&mut state, Event::Init);
        take(&mut state, Event::InitApply(node("a")?));
        take(&mut state, Event::InitApply(node("b")?));
        take(&mut state, Event::InitDone);
        take(&mut state, Event::Apply(node("c")?));
        assert_eq!(names(&state), ["a", "b", "c"]);
        take(&mut state, Event::Delete(node("c")?));

        take(&mut state, Event::Init);
        take(&mut state, Event::InitApply(node("b")?));
        take(&mut state, Event::InitApply(node("d")?));
        // Until the list is complete, objects that it has not contained yet stay.
        assert_eq!(names(&state), ["a", "b", "d"]);
        take(&mut state, Event::InitDone);
        assert_eq!(names(&state), ["b", "d"]);
        Ok(())
    }
}
