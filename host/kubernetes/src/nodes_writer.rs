//! Publishes the nodes half's decisions as events while this process is leader. The
//! orders themselves are sent to the cloud.

use flyball_decision::time::Timestamp;
use flyball_nodes::ports::{NodeEvent, NodesWriter, Subject};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use tokio::sync::watch;

use crate::events::Events;
use crate::request::CONCURRENCY;
use crate::writer::FIELD_MANAGER;

/// The ConfigMap on which Cluster Autoscaler publishes events about itself.
const STATUS: &str = "cluster-autoscaler-status";

/// Publishes events about pods and the autoscaler itself.
pub struct KubernetesNodesWriter {
    events: Events,
    namespace: String,
    leader: watch::Receiver<bool>,
}

impl KubernetesNodesWriter {
    /// Creates a writer that writes while `leader` is true. Events about the autoscaler
    /// itself are published on a ConfigMap in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: String, leader: watch::Receiver<bool>) -> Self {
        Self {
            events: Events::new(client, FIELD_MANAGER),
            namespace,
            leader,
        }
    }

    fn reference(&self, about: &Subject) -> ObjectReference {
        let (kind, namespace, name, uid) = match about {
            Subject::Pod { key, uid } => ("Pod", &*key.namespace, &*key.name, Some(&**uid)),
            // The event is in the namespace `default`, as all of objects without one.
            Subject::Node { name, uid } => ("Node", "", &**name, Some(&**uid)),
            Subject::Autoscaler => ("ConfigMap", &*self.namespace, STATUS, None),
            Subject::ConfigMap { key, uid } => {
                ("ConfigMap", &*key.namespace, &*key.name, uid.as_deref())
            }
        };
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: Some(name.to_owned()),
            uid: uid.map(str::to_owned),
            ..ObjectReference::default()
        }
    }

    async fn publish_one(&self, now: Timestamp, NodeEvent { about, event }: NodeEvent) {
        if !self.leads() {
            return;
        }
        let reference = self.reference(&about);
        if let Err(error) = self.events.publish(now, &reference, &event).await {
            let (reason, problem) = (&event.reason, error.message());
            tracing::warn!(%about, %reason, %problem, "an event was not published");
        }
    }
}

impl NodesWriter for KubernetesNodesWriter {
    fn leads(&self) -> bool {
        *self.leader.borrow()
    }

    async fn publish(&self, now: Timestamp, events: Vec<NodeEvent>) {
        self.events.forget(now);
        let events = events.into_iter();
        let published = events.map(|event| self.publish_one(now, event));
        stream::iter(published)
            .buffered(CONCURRENCY)
            .collect::<()>()
            .await;
    }
}
