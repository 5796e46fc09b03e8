//! The ports of the nodes half, other than the cloud's: the observed cluster, and what is
//! written to it.

mod writes;

use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::writes::{
    DrainMark, EvictError, Eviction, NodeChange, StatusDocument, TaintChange, WriteError,
};
use super::options::ExpanderChoice;
use super::state::{ClusterState, WantedAnnotations};
use flyball_decision::event::Event;
use flyball_decision::key::ObjectKey;
use flyball_decision::text;
use flyball_decision::time::Timestamp;

/// The observed cluster. Watches keep one [`ClusterState`] up to date.
pub trait NodesReader: Send + Sync {
    /// Whether every cache has had its first list. Nothing is decided before.
    fn synced(&self) -> bool;

    /// Runs `work` on the current state, under its lock. Whoever begins a simulation in
    /// the state rolls it back.
    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T;

    /// Keeps the state unchanged until [`NodesReader::release`]: changes that the watches
    /// report wait in a queue. Calls do not nest.
    fn hold(&self) {}

    /// Applies the queued changes, and later ones as they come.
    fn release(&self) {}

    /// Returns the cluster's configuration of an expander, which takes precedence over
    /// that of the options. `None` if expanders are not configured in the cluster.
    fn expander_configuration(&self, _expander: &str) -> Option<ExpanderConfiguration> {
        None
    }

    /// Sets which annotations policies want. Those are kept of all objects, as
    /// [`ClusterState::listed_annotations`] says once they are. A reader that keeps all
    /// need not know.
    fn want_annotations(&self, _wanted: &WantedAnnotations) {}

    /// Sets the configuration of an expander from the cluster. Returns it, or `None` if
    /// expanders are not configured in the cluster.
    fn configure(&self, expander: &mut ExpanderChoice) -> Option<ExpanderConfiguration> {
        let own = self.expander_configuration(&expander.name)?;
        expander.configuration = Arc::clone(&own.text);
        Some(own)
    }
}

impl<R: NodesReader> NodesReader for Arc<R> {
    fn synced(&self) -> bool {
        R::synced(self)
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        R::with_state(self, work)
    }

    fn hold(&self) {
        R::hold(self);
    }

    fn release(&self) {
        R::release(self);
    }

    fn expander_configuration(&self, expander: &str) -> Option<ExpanderConfiguration> {
        R::expander_configuration(self, expander)
    }

    fn want_annotations(&self, wanted: &WantedAnnotations) {
        R::want_annotations(self, wanted);
    }
}

/// An expander's configuration, as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpanderConfiguration {
    /// A JSON object as text.
    pub text: Arc<str>,
    /// The object that it comes from, even if that does not exist. Events about errors in
    /// it are about this object.
    pub source: Subject,
}

/// What an event of the nodes half is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// A pod.
    Pod {
        /// Namespace and name.
        key: ObjectKey,
        /// metadata.uid.
        uid: Arc<str>,
    },
    /// A node.
    Node {
        /// Name.
        name: Arc<str>,
        /// metadata.uid.
        uid: Arc<str>,
    },
    /// The autoscaler itself, which Cluster Autoscaler publishes on its status
    /// ConfigMap.
    Autoscaler,
    /// A ConfigMap that configures an expander.
    ConfigMap {
        /// Namespace and name.
        key: ObjectKey,
        /// metadata.uid. `None` if there is no such ConfigMap.
        uid: Option<Arc<str>>,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { key, .. } => write!(f, "pod {}/{}", key.namespace, key.name),
            Self::Node { name, .. } => write!(f, "node {name}"),
            Self::Autoscaler => f.write_str("autoscaler"),
            Self::ConfigMap { key, .. } => {
                write!(f, "ConfigMap {}/{}", key.namespace, key.name)
            }
        }
    }
}

/// An event, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeEvent {
    /// The object that it is about.
    pub about: Subject,
    /// The event.
    pub event: Event,
}

impl NodeEvent {
    /// Creates an event. Its message is shortened to a note.
    pub(super) fn new(about: Subject, warning: bool, reason: &str, message: String) -> Self {
        let event = Event {
            warning,
            reason: reason.to_owned(),
            message,
        };
        Self::about(about, event)
    }

    /// Returns an event about an object. Its message is shortened to a note.
    pub(super) fn about(about: Subject, mut event: Event) -> Self {
        event.message = text::note(event.message);
        Self { about, event }
    }

    /// Creates a normal event about the autoscaler itself.
    pub(super) fn normal(reason: &str, message: String) -> Self {
        Self::new(Subject::Autoscaler, false, reason, message)
    }

    /// Creates a warning about the autoscaler itself.
    pub(super) fn warning(reason: &str, message: String) -> Self {
        Self::new(Subject::Autoscaler, true, reason, message)
    }

    /// Creates a normal event about a pod.
    pub(super) fn of_pod(pod: &Subject, reason: &str, message: &str) -> Self {
        Self::new(pod.clone(), false, reason, message.to_owned())
    }
}

/// Writes to the cluster, and only while this instance leads.
///
/// Each write asks again right before each of its requests whether this instance leads.
/// By default, a writer can't change nodes or pods and keeps no status.
pub trait NodesWriter: Send + Sync {
    /// Whether this instance leads, so that it may order nodes and write. The
    /// loop asks right before each pass and each order, and decides or orders nothing if
    /// not.
    fn leads(&self) -> bool;

    /// When another process led last, as far as the Lease says that this one took over.
    /// `None` without leader election, and if there was no Lease.
    fn led_before(&self) -> Option<Timestamp> {
        None
    }

    /// Publishes a batch of events. The writer logs failures itself.
    fn publish(&self, now: Timestamp, events: Vec<NodeEvent>) -> impl Future<Output = ()> + Send;

    /// Changes a Node. Changes that others make meanwhile are kept. Sends nothing if the
    /// Node is already as the change wants it.
    fn update_node(
        &self,
        _now: Timestamp,
        change: NodeChange,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        ready(Err(unsupported("patch", &change.name)))
    }

    /// Evicts a pod. On success, its deletion has begun, and it goes within its grace
    /// period.
    fn evict(
        &self,
        _now: Timestamp,
        eviction: Eviction,
    ) -> impl Future<Output = Result<(), EvictError>> + Send {
        let ObjectKey { namespace, name } = &eviction.key;
        let message = format!("eviction of pod {namespace}/{name}: this writer evicts nothing");
        ready(Err(EvictError::Failed { message }))
    }

    /// Deletes a Node object, not its instance.
    fn delete_node(
        &self,
        _now: Timestamp,
        name: &str,
        _uid: &str,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        ready(Err(unsupported("delete", name)))
    }

    /// Writes the status ConfigMap. Creates it if it does not exist.
    fn write_status(
        &self,
        _now: Timestamp,
        _status: StatusDocument,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        ready(Ok(()))
    }

    /// Reads the status ConfigMap. Returns `None` if it does not exist.
    fn read_status(
        &self,
    ) -> impl Future<Output = Result<Option<StatusDocument>, WriteError>> + Send {
        ready(Ok(None))
    }
}

fn unsupported(verb: &str, node: &str) -> WriteError {
    let message = format!("{verb} of node {node}: this writer changes no nodes");
    WriteError::Failed { message }
}

impl<W: NodesWriter> NodesWriter for Arc<W> {
    fn leads(&self) -> bool {
        W::leads(self)
    }

    fn led_before(&self) -> Option<Timestamp> {
        W::led_before(self)
    }

    fn publish(&self, now: Timestamp, events: Vec<NodeEvent>) -> impl Future<Output = ()> + Send {
        W::publish(self, now, events)
    }

    fn update_node(
        &self,
        now: Timestamp,
        change: NodeChange,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        W::update_node(self, now, change)
    }

    fn evict(
        &self,
        now: Timestamp,
        eviction: Eviction,
    ) -> impl Future<Output = Result<(), EvictError>> + Send {
        W::evict(self, now, eviction)
    }

    fn delete_node(
        &self,
        now: Timestamp,
        name: &str,
        uid: &str,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        W::delete_node(self, now, name, uid)
    }

    fn write_status(
        &self,
        now: Timestamp,
        status: StatusDocument,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        W::write_status(self, now, status)
    }

    fn read_status(
        &self,
    ) -> impl Future<Output = Result<Option<StatusDocument>, WriteError>> + Send {
        W::read_status(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Subject;

    #[test]
    fn a_node_is_a_subject_of_events_and_records() {
        let node = Subject::Node {
            name: "ip-10-0-3-7".into(),
            uid: "0a1b".into(),
        };
        assert_eq!(node.to_string(), "node ip-10-0-3-7");
        let text = r#"{"node":{"name":"ip-10-0-3-7","uid":"0a1b"}}"#;
        assert_eq!(serde_json::to_string(&node).ok().as_deref(), Some(text));
        assert_eq!(serde_json::from_str(text).ok(), Some(node));
    }
}
