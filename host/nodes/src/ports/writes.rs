//! What the nodes half writes to the cluster, and how a write can fail.
//!
//! Messages of errors are at most [`Event::MESSAGE_LIMIT`] bytes long.

use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(doc)]
use flyball_decision::event::Event;
use flyball_decision::key::ObjectKey;

/// A change of a Node, which is made as a whole or not at all.
///
/// Removals come before additions: a taint whose key is in both keeps only what is added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeChange {
    /// metadata.name.
    pub name: Arc<str>,
    /// metadata.uid that the Node must have. `None` for any.
    pub uid: Option<Arc<str>>,
    /// Taints to add. One replaces the taint with the same key and effect.
    pub add_taints: Vec<TaintChange>,
    /// Keys of taints to remove, with any value and effect.
    pub remove_taints: Vec<Arc<str>>,
    /// spec.unschedulable. `None` if it does not change.
    pub unschedulable: Option<bool>,
    /// Annotations to set, or to remove if the value is `None`.
    pub annotations: Vec<(Arc<str>, Option<Arc<str>>)>,
}

/// A taint of a [`NodeChange`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaintChange {
    /// Key.
    pub key: Arc<str>,
    /// Value; may be empty.
    pub value: Arc<str>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: Arc<str>,
}

/// An eviction of a pod through the eviction API.
///
/// The API server counts an eviction against the pod's PodDisruptionBudget before it
/// compares the uid. So an eviction that fails as [`EvictError::Gone`] because of the uid
/// takes one of the budget's disruptions for up to two minutes: compare the uid with that
/// of the watched pod first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// Namespace and name.
    pub key: ObjectKey,
    /// metadata.uid. Another pod with the same name is not evicted.
    pub uid: Arc<str>,
    /// Grace period in seconds. `None` for the pod's own.
    pub grace_seconds: Option<i64>,
}

/// The ConfigMap `cluster-autoscaler-status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusDocument {
    /// Value of the key `status`: YAML.
    pub text: Arc<str>,
    /// Annotations. When written, they are set, and others are left as they are.
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
}

impl StatusDocument {
    /// Key of the text in the ConfigMap's data.
    pub const KEY: &str = "status";
    /// Annotation with the time of the last write.
    pub const LAST_UPDATED: &str = "cluster-autoscaler.kubernetes.io/last-updated";
}

/// Why a write failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The object does not exist, or is another one of the same name.
    #[error("the object no longer exists")]
    Gone,
    /// Others changed the object between each read and write.
    #[error("the object was changed by others at every try")]
    Conflict,
    /// This instance does not lead: nothing was sent.
    #[error("this instance does not lead: nothing was written")]
    NotLeader,
    /// The service account lacks a right.
    #[error("no right to {verb}: {message}")]
    Forbidden {
        /// The missing right: verb and resource, such as `patch nodes`.
        verb: &'static str,
        /// The API server's message, which names the object.
        message: String,
    },
    /// Anything else.
    #[error("{message}")]
    Failed {
        /// Message for people that names the verb and the object.
        message: String,
    },
}

/// Why a pod was not evicted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvictError {
    /// The pod does not exist, or is another one of the same name.
    #[error("the pod no longer exists")]
    Gone,
    /// The eviction may succeed later (status 429).
    #[error("{message}")]
    Blocked {
        /// Message for people that names the pod.
        message: String,
        /// Name of the PodDisruptionBudget that does not allow it. `None` if the API
        /// server names none, as when it limits the rate of requests.
        budget: Option<String>,
    },
    /// The pod has several PodDisruptionBudgets, which the eviction API refuses (status
    /// 500).
    #[error("{message}")]
    SeveralBudgets {
        /// Message for people that names the pod.
        message: String,
    },
    /// This instance does not lead: nothing was sent.
    #[error("this instance does not lead: nothing was evicted")]
    NotLeader,
    /// The service account lacks a right.
    #[error("no right to {verb}: {message}")]
    Forbidden {
        /// The missing right: `create pods/eviction`.
        verb: &'static str,
        /// The API server's message, which names the pod.
        message: String,
    },
    /// Anything else.
    #[error("{message}")]
    Failed {
        /// Message for people that names the pod.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::{EvictError, WriteError};

    #[test]
    fn a_missing_right_and_a_failure_name_verb_and_object() {
        let verb = "patch nodes";
        let message = "nodes \"a\" is forbidden".to_owned();
        let forbidden = WriteError::Forbidden { verb, message };
        assert_eq!(
            forbidden.to_string(),
            "no right to patch nodes: nodes \"a\" is forbidden"
        );
        let message = "patch of node a: the API server did not answer within 10 s".to_owned();
        let failed = WriteError::Failed {
            message: message.clone(),
        };
        assert_eq!(failed.to_string(), message);
        let blocked = EvictError::Blocked {
            message: "eviction of pod default/a: too many".to_owned(),
            budget: None,
        };
        assert_eq!(blocked.to_string(), "eviction of pod default/a: too many");
    }
}
