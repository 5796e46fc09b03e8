//! Writes the nodes half's decisions to the cluster while this process is leader: events,
//! changes of nodes, evictions and the status ConfigMap. Orders are sent to the cloud.

mod eviction;
mod node_change;
mod refusal;
mod status_map;

use std::future::Future;

use flyball_decision::time::Timestamp;
use flyball_nodes::ports::{
    EvictError, Eviction, NodeChange, NodeEvent, NodesWriter, StatusDocument, Subject, WriteError,
};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Node, ObjectReference, Pod};
use k8s_openapi::jiff;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use tokio::sync::watch;

use self::refusal::{Refusal, Request};
use crate::events::Events;
use crate::lease::{Election, Leadership};
use crate::request::{CONCURRENCY, answer_or_status};
use crate::writer::FIELD_MANAGER;

/// The ConfigMap with the status, on which Cluster Autoscaler publishes events about
/// itself.
const STATUS: &str = "cluster-autoscaler-status";

/// Maximum number of times that an object is read and written until no other change came
/// between.
const MAX_TRIES: u32 = 5;

const GET_NODE: Request = Request::new("get nodes", "read of node");
const PATCH_NODE: Request = Request::new("patch nodes", "patch of node");
const DELETE_NODE: Request = Request::new("delete nodes", "deletion of node");
const EVICT: Request = Request::new("create pods/eviction", "eviction of pod");
const GET_STATUS: Request = Request::new("get configmaps", "read of ConfigMap");
const CREATE_STATUS: Request = Request::new("create configmaps", "creation of ConfigMap");
const UPDATE_STATUS: Request = Request::new("update configmaps", "update of ConfigMap");

/// Writes about nodes, pods and the autoscaler itself.
pub struct KubernetesNodesWriter {
    events: Events,
    /// Sends each request once: a retry must ask first whether this process still leads,
    /// and the caller decides when an eviction is tried again.
    client: Client,
    namespace: String,
    leadership: Leadership,
    /// When another process led last, if this one takes part in an election.
    led_before: Option<watch::Receiver<Option<jiff::Timestamp>>>,
}

impl KubernetesNodesWriter {
    /// Creates a writer that writes while `leadership` lasts. Events are sent with the
    /// client `events`, everything else with `writes`, which must be from
    /// [`connect_without_retries`](crate::connect_without_retries). The status ConfigMap
    /// is in `namespace`.
    #[must_use]
    pub fn new(events: Client, writes: Client, namespace: String, leadership: Leadership) -> Self {
        Self {
            events: Events::new(events, FIELD_MANAGER),
            client: writes,
            namespace,
            leadership,
            led_before: None,
        }
    }

    /// Learns from an election when another process led last.
    #[must_use]
    pub fn elected(self, election: &Election) -> Self {
        let led_before = Some(election.led_before());
        Self { led_before, ..self }
    }

    /// Returns the leadership that the writer asks.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    fn reference(&self, about: &Subject) -> ObjectReference {
        let (kind, namespace, name, uid) = match about {
            Subject::Pod { key, uid } => ("Pod", Some(&*key.namespace), &*key.name, Some(&**uid)),
            Subject::Node { name, uid } => ("Node", None, &**name, Some(&**uid)),
            Subject::Autoscaler => ("ConfigMap", Some(&*self.namespace), STATUS, None),
            Subject::ConfigMap { key, uid } => {
                let namespace = Some(&*key.namespace);
                ("ConfigMap", namespace, &*key.name, uid.as_deref())
            }
        };
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            namespace: namespace.map(str::to_owned),
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
        let mut leadership = self.leadership.clone();
        let published = tokio::select! {
            published = self.events.publish(now, &reference, &event) => published,
            // The client repeats a request until it is answered.
            () = leadership.lost() => return,
        };
        if let Err(error) = published {
            let (reason, problem) = (&event.reason, error.message());
            tracing::warn!(%about, %reason, %problem, "an event was not published");
        }
    }

    /// Sends a request if this process leads at this moment.
    async fn send<T>(
        &self,
        request: &Request,
        object: &str,
        sending: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Refusal> {
        if !self.leads() {
            return Err(Refusal::NotLeader);
        }
        let answer = answer_or_status(sending).await;
        answer.map_err(|error| Refusal::new(request, object, error))
    }

    /// Changes a node once. Returns whether it is done: `false` if another change came
    /// between.
    async fn try_to_update(
        &self,
        nodes: &Api<Node>,
        change: &NodeChange,
    ) -> Result<bool, WriteError> {
        let name = &change.name;
        let node = self.send(&GET_NODE, name, nodes.get(name)).await?;
        if change.uid.is_some() && change.uid.as_deref() != node.metadata.uid.as_deref() {
            return Err(WriteError::Gone);
        }
        let Some(patch) = node_change::patch(&node, change) else {
            return Ok(true);
        };
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        let written = nodes.patch(name, &parameters, &patch);
        was_written(self.send(&PATCH_NODE, name, written).await)
    }

    /// Writes the status once. Returns whether it is done: `false` if another change came
    /// between.
    async fn try_to_write_status(&self, status: &StatusDocument) -> Result<bool, WriteError> {
        let maps = self.config_maps();
        let object = self.status_name();
        let known = self
            .send(&GET_STATUS, &object, maps.get_opt(STATUS))
            .await?;
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let is_known = known.is_some();
        let Some(map) = status_map::with(known, STATUS, status) else {
            return Ok(true);
        };
        if is_known {
            let written = maps.replace(STATUS, &parameters, &map);
            was_written(self.send(&UPDATE_STATUS, &object, written).await)
        } else {
            let written = maps.create(&parameters, &map);
            was_written(self.send(&CREATE_STATUS, &object, written).await)
        }
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn status_name(&self) -> String {
        format!("{}/{STATUS}", self.namespace)
    }
}

/// Returns whether an object was written. `false` if another change came between.
fn was_written<T>(written: Result<T, Refusal>) -> Result<bool, WriteError> {
    match written {
        Ok(_) => Ok(true),
        Err(Refusal::Conflict(_)) => Ok(false),
        Err(refusal) => Err(refusal.into()),
    }
}

impl NodesWriter for KubernetesNodesWriter {
    fn leads(&self) -> bool {
        self.leadership.leads()
    }

    fn led_before(&self) -> Option<Timestamp> {
        let at = (*self.led_before.as_ref()?.borrow())?;
        Some(Timestamp(at.as_millisecond()))
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

    async fn update_node(&self, _: Timestamp, change: NodeChange) -> Result<(), WriteError> {
        let nodes = Api::all(self.client.clone());
        for _ in 0..MAX_TRIES {
            if self.try_to_update(&nodes, &change).await? {
                return Ok(());
            }
        }
        Err(WriteError::Conflict)
    }

    async fn evict(&self, _: Timestamp, eviction: Eviction) -> Result<(), EvictError> {
        let key = &eviction.key;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let body = eviction::body(&eviction);
        let parameters = PostParams::default();
        let sending = pods.create_subresource("eviction", &key.name, &parameters, &body);
        let object = format!("{}/{}", key.namespace, key.name);
        let sent = self.send(&EVICT, &object, sending).await;
        sent.map(|_: kube::core::Status| ())
            .map_err(eviction::error)
    }

    async fn delete_node(&self, _: Timestamp, name: &str, uid: &str) -> Result<(), WriteError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let sending = nodes.delete(name, &parameters);
        match self.send(&DELETE_NODE, name, sending).await {
            Ok(_) => Ok(()),
            // The only precondition is the uid.
            Err(Refusal::Conflict(_)) => Err(WriteError::Gone),
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn write_status(&self, _: Timestamp, status: StatusDocument) -> Result<(), WriteError> {
        for _ in 0..MAX_TRIES {
            if self.try_to_write_status(&status).await? {
                return Ok(());
            }
        }
        Err(WriteError::Conflict)
    }

    async fn read_status(&self) -> Result<Option<StatusDocument>, WriteError> {
        let maps = self.config_maps();
        let answer = answer_or_status(maps.get_opt(STATUS)).await;
        let refused = |error| Refusal::new(&GET_STATUS, &self.status_name(), error);
        Ok(answer.map_err(refused)?.map(status_map::document))
    }
}
