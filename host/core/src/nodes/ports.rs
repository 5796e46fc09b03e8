//! The ports of the nodes half beside the cloud's: the observed cluster, and the events
//! about it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::options::ExpanderChoice;
use super::state::ClusterState;
use crate::ports::ObjectKey;
use crate::status::Event;
use crate::time::Timestamp;

/// Brings the cluster in: its watches keep one [`ClusterState`] up to date.
pub trait NodesReader: Send + Sync {
    /// Whether every cache has had its first list. Before that, nothing is decided.
    fn synced(&self) -> bool;

    /// Does `work` on the state as it is now, under its lock. A simulation in it is always
    /// rolled back by the one who began it.
    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T;

    /// Keeps the state as it is until [`NodesReader::release`], however often it is looked
    /// at: changes that the watches bring wait. Holds do not add up.
    fn hold(&self) {}

    /// Lets the changes in that were waiting, and those to come.
    fn release(&self) {}

    /// Returns the cluster's configuration of an expander, which takes precedence over
    /// that of the options. `None` if expanders are not configured in the cluster.
    fn expander_configuration(&self, _expander: &str) -> Option<ExpanderConfiguration> {
        None
    }

    /// Gives an expander of a chain that configuration, if there is one: what it is.
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
}

/// An expander's configuration, as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpanderConfiguration {
    /// A JSON object as text.
    pub text: Arc<str>,
    /// The object that it is from, or would be from if it existed. Events about errors in
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

/// Tells the cluster what was decided, and only while it is leader.
pub trait NodesWriter: Send + Sync {
    /// Whether orders may be given and events published now. Asked right before each
    /// pass and each order: where not, nothing is decided, and nothing is ordered of
    /// what was decided.
    fn leads(&self) -> bool;

    /// Publishes events, several at a time. The writer itself logs what fails.
    fn publish(&self, now: Timestamp, events: Vec<NodeEvent>) -> impl Future<Output = ()> + Send;
}

impl<W: NodesWriter> NodesWriter for Arc<W> {
    fn leads(&self) -> bool {
        W::leads(self)
    }

    fn publish(&self, now: Timestamp, events: Vec<NodeEvent>) -> impl Future<Output = ()> + Send {
        W::publish(self, now, events)
    }
}
