//! Which targets a HorizontalPodAutoscaler names.

use std::borrow::Cow;
use std::collections::HashMap;

use flyball_core::spec::CrossVersionObjectReference;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde::Deserialize;

use super::Store;

/// A target whatever the version that it is named by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TargetKey {
    namespace: String,
    group: String,
    kind: String,
    name: String,
}

impl TargetKey {
    pub(crate) fn new(namespace: &str, target: &CrossVersionObjectReference) -> Self {
        let group = target
            .api_version
            .split_once('/')
            .map_or("", |(group, _)| group);
        Self {
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            kind: target.kind.clone(),
            name: target.name.clone(),
        }
    }
}

/// A HorizontalPodAutoscaler as it comes in: only what is kept of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct IncomingHpa {
    #[serde(deserialize_with = "super::slim_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: IncomingSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IncomingSpec {
    scale_target_ref: CrossVersionObjectReference,
}

/// All HorizontalPodAutoscalers, by target.
#[derive(Default)]
pub(crate) struct Hpas {
    targets: HashMap<(String, String), TargetKey>,
    by_target: HashMap<TargetKey, Vec<String>>,
}

impl Hpas {
    /// A HorizontalPodAutoscaler that names the target.
    pub(crate) fn of(&self, target: &TargetKey) -> Option<&str> {
        Some(self.by_target.get(target)?.first()?.as_str())
    }
}

impl Store for Hpas {
    type Incoming = IncomingHpa;

    fn apply(&mut self, incoming: IncomingHpa) {
        let namespace = incoming.namespace().unwrap_or_default();
        let name = incoming.name_any();
        let target = TargetKey::new(&namespace, &incoming.spec.scale_target_ref);
        self.delete(incoming);
        let names = self.by_target.entry(target.clone()).or_default();
        names.push(name.clone());
        names.sort();
        self.targets.insert((namespace, name), target);
    }

    fn delete(&mut self, incoming: IncomingHpa) {
        let key = (
            incoming.namespace().unwrap_or_default(),
            incoming.name_any(),
        );
        let Some(target) = self.targets.remove(&key) else {
            return;
        };
        if let Some(names) = self.by_target.get_mut(&target) {
            names.retain(|name| *name != key.1);
            if names.is_empty() {
                self.by_target.remove(&target);
            }
        }
    }
}

impl Resource for IncomingHpa {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "HorizontalPodAutoscaler".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "autoscaling".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v2".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "horizontalpodautoscalers".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
