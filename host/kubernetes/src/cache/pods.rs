//! Pods, compacted while they are read: a typed pod is never built, and pods of
//! one template share their labels and requests.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use flyball_core::labels::{LabelIndex, Labels};
use flyball_core::pods::{Container, Phase, Pod, PodRequests, Ready, Resources};
use flyball_core::quantity::Milli;
use flyball_core::selector::Selector;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::{Metadata, Store};
use crate::status::parse_time;

/// A pod as it comes in: only what is kept of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct IncomingPod {
    #[serde(deserialize_with = "super::slim_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: IncomingSpec,
    #[serde(default)]
    status: IncomingStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IncomingSpec {
    containers: Vec<IncomingContainer>,
    init_containers: Vec<IncomingContainer>,
    resources: IncomingResources,
    overhead: BTreeMap<String, Milli>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IncomingContainer {
    name: String,
    resources: IncomingResources,
    restart_policy: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct IncomingResources {
    requests: BTreeMap<String, Milli>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IncomingStatus {
    phase: String,
    start_time: Option<String>,
    conditions: Vec<IncomingCondition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IncomingCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<String>,
}

/// All pods, by namespace and labels.
#[derive(Default)]
pub(crate) struct Pods {
    namespaces: HashMap<Arc<str>, Namespace>,
    requests: HashSet<Arc<PodRequests>>,
    words: HashSet<Arc<str>>,
    /// Number of shared values from which on the unused ones are dropped.
    sweep_at: usize,
}

/// Below it nothing is dropped.
const SWEEP_MINIMUM: usize = 1024;

#[derive(Default)]
struct Namespace {
    index: LabelIndex<Pod>,
    labels: HashMap<Arc<str>, Arc<Labels>>,
    /// What was last selected: given out again while it is the same.
    selected: HashMap<String, Arc<[Pod]>>,
}

impl Pods {
    /// The pods that a selector matches, ordered by name; the same `Arc` as
    /// before while nothing about them has changed.
    pub(crate) fn select(
        &mut self,
        namespace: &str,
        text: &str,
        selector: &Selector,
    ) -> Arc<[Pod]> {
        let Some(namespace) = self.namespaces.get_mut(namespace) else {
            return Arc::new([]);
        };
        let found = namespace.index.select(selector);
        let known = namespace.selected.get(text);
        if let Some(known) = known
            && known.len() == found.len()
            && known
                .iter()
                .zip(&found)
                .all(|(known, (_, pod))| known == *pod)
        {
            return known.clone();
        }
        let pods: Arc<[Pod]> = found.into_iter().map(|(_, pod)| pod.clone()).collect();
        if namespace.selected.len() > SWEEP_MINIMUM.max(2 * namespace.labels.len()) {
            namespace.selected.clear();
        }
        namespace.selected.insert(text.to_owned(), pods.clone());
        pods
    }

    /// The distinct sets of labels of the pods that a selector matches.
    pub(crate) fn label_sets(&self, namespace: &str, selector: &Selector) -> Vec<Arc<Labels>> {
        let namespace = self.namespaces.get(namespace);
        namespace
            .map(|n| n.index.sets(selector).into_iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Drops what is shared by nobody any more, each time it has doubled.
    fn sweep(&mut self) {
        if self.words.len() + self.requests.len() > self.sweep_at.max(SWEEP_MINIMUM) {
            self.requests
                .retain(|requests| Arc::strong_count(requests) > 1);
            self.words.retain(|word| Arc::strong_count(word) > 1);
            self.sweep_at = 2 * (self.words.len() + self.requests.len());
        }
    }

    fn word(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.words.get(text) {
            return known.clone();
        }
        let word: Arc<str> = text.into();
        self.words.insert(word.clone());
        word
    }

    fn resources(&mut self, requests: BTreeMap<String, Milli>) -> Resources {
        requests
            .into_iter()
            .map(|(name, Milli(milli))| (self.word(&name), milli))
            .collect()
    }

    fn containers(&mut self, containers: Vec<IncomingContainer>) -> Vec<Container> {
        let container = |container: IncomingContainer| Container {
            name: self.word(&container.name),
            requests: self.resources(container.resources.requests),
            restartable: container.restart_policy == "Always",
        };
        containers.into_iter().map(container).collect()
    }

    fn requests(&mut self, spec: IncomingSpec) -> Arc<PodRequests> {
        let requests = PodRequests {
            containers: self.containers(spec.containers),
            init_containers: self.containers(spec.init_containers),
            pod: self.resources(spec.resources.requests),
            overhead: self.resources(spec.overhead),
        };
        if let Some(known) = self.requests.get(&requests) {
            return known.clone();
        }
        let requests = Arc::new(requests);
        self.requests.insert(requests.clone());
        requests
    }
}

impl Store for Pods {
    type Incoming = IncomingPod;

    fn apply(&mut self, incoming: IncomingPod) {
        let metadata = Metadata::from(incoming.metadata);
        let name: Arc<str> = metadata.name.as_str().into();
        let labels = metadata
            .labels
            .iter()
            .map(|(k, v)| (self.word(k), self.word(v)))
            .collect();
        let pod = Pod {
            name: name.clone(),
            phase: phase(&incoming.status.phase),
            ready: ready(&incoming.status.conditions),
            start: incoming.status.start_time.as_deref().and_then(parse_time),
            deletion: metadata.deletion,
            requests: self.requests(incoming.spec),
        };
        let namespace = self.word(&metadata.namespace);
        let namespace = self.namespaces.entry(namespace).or_default();
        let labels = namespace.index.insert(labels, name.clone(), pod);
        let old = namespace.labels.insert(name.clone(), labels.clone());
        if let Some(old) = old.filter(|old| *old != labels) {
            namespace.index.remove(&old, &name);
        }
        self.sweep();
    }

    fn delete(&mut self, incoming: IncomingPod) {
        let metadata = Metadata::from(incoming.metadata);
        let Some(namespace) = self.namespaces.get_mut(metadata.namespace.as_str()) else {
            return;
        };
        if let Some(labels) = namespace.labels.remove(metadata.name.as_str()) {
            namespace.index.remove(&labels, &metadata.name);
        }
        if namespace.index.is_empty() {
            self.namespaces.remove(metadata.namespace.as_str());
        }
    }
}

fn phase(text: &str) -> Phase {
    match text {
        "Pending" => Phase::Pending,
        "Running" => Phase::Running,
        "Succeeded" => Phase::Succeeded,
        "Failed" => Phase::Failed,
        _ => Phase::Unknown,
    }
}

fn ready(
    conditions: &[IncomingCondition],
) -> Option<(Ready, Option<flyball_core::time::Timestamp>)> {
    let condition = conditions
        .iter()
        .find(|condition| condition.kind == "Ready")?;
    let status = match condition.status.as_str() {
        "True" => Ready::True,
        "False" => Ready::False,
        _ => Ready::Unknown,
    };
    Some((
        status,
        condition
            .last_transition_time
            .as_deref()
            .and_then(parse_time),
    ))
}

impl Resource for IncomingPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
