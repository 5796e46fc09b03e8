//! The `ReplicaAutoscaler`s of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_core::ports::{Autoscaler, ObjectKey};
use flyball_core::spec::{AutoscalerSpec, Mode};
use kube::ResourceExt;

use super::Store;
use crate::resource::ReplicaAutoscaler;

/// All autoscalers whose spec can be read, by key.
#[derive(Default)]
pub(crate) struct Autoscalers {
    by_key: BTreeMap<ObjectKey, Arc<Autoscaler>>,
    /// Whether one came, went or got another spec.
    pub(crate) changed: bool,
}

impl Autoscalers {
    /// Whether there is such an autoscaler, and it writes its target.
    pub(crate) fn is_active(&self, key: &ObjectKey) -> bool {
        let autoscaler = self.by_key.get(key);
        autoscaler.is_some_and(|autoscaler| autoscaler.spec.mode == Mode::Active)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Autoscaler>> {
        self.by_key.values().cloned().collect()
    }
}

impl Store for Autoscalers {
    type Incoming = ReplicaAutoscaler;

    fn apply(&mut self, incoming: ReplicaAutoscaler) {
        let key = key(&incoming);
        let old = self.by_key.remove(&key);
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
        let autoscaler = Autoscaler {
            key,
            uid,
            generation,
            spec,
            status,
        };
        self.by_key
            .insert(autoscaler.key.clone(), Arc::new(autoscaler));
    }

    fn delete(&mut self, incoming: ReplicaAutoscaler) {
        self.changed |= self.by_key.remove(&key(&incoming)).is_some();
    }
}

fn key(object: &ReplicaAutoscaler) -> ObjectKey {
    ObjectKey {
        namespace: object.namespace().unwrap_or_default().into(),
        name: object.name_any().into(),
    }
}
