//! The `ReplicaAutoscaler`s of the cluster, and who else names their targets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flyball_core::ports::{Autoscaler, ObjectKey};
use flyball_core::spec::{AutoscalerSpec, CrossVersionObjectReference, Mode};
use kube::ResourceExt;

use super::Store;
use crate::resource::ReplicaAutoscaler;

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

/// All autoscalers whose spec can be read, by key.
#[derive(Default)]
pub(crate) struct Autoscalers {
    by_key: BTreeMap<ObjectKey, Arc<Autoscaler>>,
    /// Those that write, by what they write.
    active: HashMap<TargetKey, BTreeSet<ObjectKey>>,
    /// Whether one came, went or got another spec.
    pub(crate) changed: bool,
}

impl Autoscalers {
    pub(crate) fn contains(&self, key: &ObjectKey) -> bool {
        self.by_key.contains_key(key)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Autoscaler>> {
        self.by_key.values().cloned().collect()
    }

    /// Another autoscaler that writes the same target.
    pub(crate) fn rival(&self, autoscaler: &Autoscaler) -> Option<&ObjectKey> {
        let target = TargetKey::new(&autoscaler.key.namespace, &autoscaler.spec.scale_target_ref);
        self.active
            .get(&target)?
            .iter()
            .find(|key| **key != autoscaler.key)
    }

    fn remove(&mut self, key: &ObjectKey) -> Option<Arc<Autoscaler>> {
        let old = self.by_key.remove(key)?;
        let target = TargetKey::new(&key.namespace, &old.spec.scale_target_ref);
        if let Some(keys) = self.active.get_mut(&target) {
            keys.remove(key);
            if keys.is_empty() {
                self.active.remove(&target);
            }
        }
        Some(old)
    }

    fn insert(&mut self, autoscaler: Autoscaler) {
        if autoscaler.spec.mode == Mode::Active {
            let namespace = &autoscaler.key.namespace;
            let target = TargetKey::new(namespace, &autoscaler.spec.scale_target_ref);
            self.active
                .entry(target)
                .or_default()
                .insert(autoscaler.key.clone());
        }
        self.by_key
            .insert(autoscaler.key.clone(), Arc::new(autoscaler));
    }
}

impl Store for Autoscalers {
    type Incoming = ReplicaAutoscaler;

    fn apply(&mut self, incoming: ReplicaAutoscaler) {
        let key = key(&incoming);
        let old = self.remove(&key);
        let generation = incoming.metadata.generation.unwrap_or_default();
        let uid: Arc<str> = incoming.uid().unwrap_or_default().into();
        let same = old.filter(|old| old.generation == generation && old.uid == uid);
        self.changed |= same.is_none();
        let spec: Arc<AutoscalerSpec> = match (&same, incoming.spec) {
            (Some(same), _) => same.spec.clone(),
            (None, Ok(spec)) => Arc::new(spec),
            (None, Err(problem)) => {
                let ObjectKey { namespace, name } = key;
                tracing::error!(%namespace, %name, %problem, "the autoscaler can't be read: left alone");
                return;
            }
        };
        let status = Arc::new(incoming.status.to_core());
        self.insert(Autoscaler {
            key,
            uid,
            generation,
            spec,
            status,
        });
    }

    fn delete(&mut self, incoming: ReplicaAutoscaler) {
        self.changed |= self.remove(&key(&incoming)).is_some();
    }
}

fn key(object: &ReplicaAutoscaler) -> ObjectKey {
    ObjectKey {
        namespace: object.namespace().unwrap_or_default().into(),
        name: object.name_any().into(),
    }
}
