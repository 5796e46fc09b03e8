//! What the nodes half writes to the cluster, and how a write can fail.
//!
//! Messages of errors are at most [`NOTE_BYTES`] bytes long.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
#[cfg(doc)]
use flyball_decision::text::NOTE_BYTES;

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
    /// What happens to the mark of a drained node, and to its cordon. `None` if nothing.
    pub drain_mark: Option<DrainMark>,
}

/// A change of the annotation [`DrainMark::ANNOTATION`], which says of a drained node
/// whether we have cordoned it: a cordon that others made is left when the node is kept.
///
/// Whose cordon it is can only be said of the Node that is written, whatever was watched
/// before: a writer calls [`NodeChange::resolve`] with the Node that it has read, and lets
/// the API server refuse the write if another change came between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainMark {
    /// It is set.
    Set {
        /// Whether the node is cordoned too, unless it is.
        cordon: bool,
    },
    /// It is removed, and the cordon too if it is ours.
    Remove,
}

impl DrainMark {
    /// The annotation of a drained node.
    pub const ANNOTATION: &str = "flyball.dev/scale-down";
    /// Its value if we have cordoned the node.
    const CORDONED: &str = "cordoned";
    /// Its value if we have not.
    const TAINTED: &str = "tainted";
}

impl NodeChange {
    /// Returns the change of a Node as it is, without a [`NodeChange::drain_mark`]: what
    /// that means is in the other fields. `annotation` is the value of
    /// [`DrainMark::ANNOTATION`].
    #[must_use]
    pub fn resolve(&self, is_cordoned: bool, annotation: Option<&str>) -> Cow<'_, Self> {
        let Some(mark) = self.drain_mark else {
            return Cow::Borrowed(self);
        };
        let is_ours = annotation == Some(DrainMark::CORDONED);
        let mut change = self.clone();
        change.drain_mark = None;
        let value = match mark {
            DrainMark::Set { cordon } => {
                if cordon && !is_cordoned {
                    change.unschedulable = Some(true);
                }
                // An earlier try may have succeeded, and its answer be lost.
                let is_ours = cordon && (!is_cordoned || is_ours);
                Some(match is_ours {
                    true => DrainMark::CORDONED,
                    false => DrainMark::TAINTED,
                })
            }
            DrainMark::Remove => {
                if is_ours {
                    change.unschedulable = Some(false);
                }
                None
            }
        };
        let value = value.map(Arc::from);
        change
            .annotations
            .push((DrainMark::ANNOTATION.into(), value));
        Cow::Owned(change)
    }
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
