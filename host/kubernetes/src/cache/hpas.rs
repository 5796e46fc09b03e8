//! Cache of the targets of HorizontalPodAutoscalers.

use std::collections::HashMap;

use flyball_placement::Name;
use flyball_replicas::spec::CrossVersionObjectReference;
use serde::Deserialize;

use crate::slim::ObjectMetadata;
use crate::watch::{Change, SlimKind, namespaced_id};

/// A target, independent of its API version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TargetKey {
    namespace: String,
    group: String,
    kind: String,
    name: String,
}

impl TargetKey {
    pub(crate) fn new(namespace: &str, target: &CrossVersionObjectReference) -> Self {
        Self {
            namespace: namespace.to_owned(),
            group: target.group().to_owned(),
            kind: target.kind.clone(),
            name: target.name.clone(),
        }
    }
}

/// A HorizontalPodAutoscaler, of which only the target is read.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct HpaObject {
    metadata: ObjectMetadata,
    #[serde(default)]
    spec: HpaSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HpaSpec {
    scale_target_ref: CrossVersionObjectReference,
}

impl SlimKind for HpaObject {
    const GROUP: &str = "autoscaling";
    const VERSION: &str = "v2";
    const KIND: &str = "HorizontalPodAutoscaler";
    const PLURAL: &str = "horizontalpodautoscalers";

    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    fn id(metadata: &ObjectMetadata) -> Name {
        namespaced_id(&metadata.namespace, &metadata.name)
    }
}

/// All HorizontalPodAutoscalers, by target.
#[derive(Default)]
pub(crate) struct Hpas {
    /// By id.
    targets: HashMap<Name, TargetKey>,
    by_target: HashMap<TargetKey, Vec<Name>>,
}

impl Hpas {
    /// Returns the name of a HorizontalPodAutoscaler that scales the target.
    pub(crate) fn of(&self, target: &TargetKey) -> Option<&str> {
        let id = self.by_target.get(target)?.first()?;
        Some(id.rsplit_once('/').map_or(id, |(_, name)| name))
    }

    /// Applies a change.
    pub(crate) fn take(&mut self, change: Change<HpaObject>) {
        match change {
            Change::Apply(object) => self.apply(&object),
            Change::Delete(id) => self.delete(&id),
        }
    }

    fn apply(&mut self, object: &HpaObject) {
        let id = HpaObject::id(&object.metadata);
        self.delete(&id);
        let target = TargetKey::new(&object.metadata.namespace, &object.spec.scale_target_ref);
        let ids = self.by_target.entry(target.clone()).or_default();
        ids.push(id.clone());
        ids.sort();
        self.targets.insert(id, target);
    }

    fn delete(&mut self, id: &Name) {
        let Some(target) = self.targets.remove(id) else {
            return;
        };
        if let Some(ids) = self.by_target.get_mut(&target) {
            ids.retain(|known| known != id);
            if ids.is_empty() {
                self.by_target.remove(&target);
            }
        }
    }
}
