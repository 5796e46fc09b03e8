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
    by_key: BTreeMap<ObjectKey, Known>,
    /// Whether one came, went or got another spec.
    pub(crate) changed: bool,
}

struct Known {
    autoscaler: Arc<Autoscaler>,
    /// metadata.resourceVersion; none: it is no number, and can't be compared.
    version: Option<u64>,
}

impl Autoscalers {
    /// Takes in what a write has made of an object. The watch brings it too, later
    /// and after older states of it. One that has gone meanwhile does not come back.
    pub(crate) fn update(&mut self, written: ReplicaAutoscaler) {
        let uid = written.metadata.uid.as_deref();
        let known = self.by_key.get(&key(&written));
        if known.is_some_and(|known| uid == Some(&*known.autoscaler.uid)) {
            self.apply(written);
        }
    }

    /// Whether there is such an autoscaler, and it writes its target.
    pub(crate) fn is_active(&self, key: &ObjectKey) -> bool {
        let known = self.by_key.get(key);
        known.is_some_and(|known| known.autoscaler.spec.mode == Mode::Active)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Autoscaler>> {
        let all = self.by_key.values();
        all.map(|known| Arc::clone(&known.autoscaler)).collect()
    }
}

impl Store for Autoscalers {
    type Incoming = ReplicaAutoscaler;

    fn apply(&mut self, incoming: ReplicaAutoscaler) {
        let key = key(&incoming);
        let generation = incoming.metadata.generation.unwrap_or_default();
        let uid: Arc<str> = incoming.uid().unwrap_or_default().into();
        let version = incoming.resource_version().and_then(|v| v.parse().ok());
        let known = self.by_key.get(&key);
        if known.is_some_and(|known| known.autoscaler.uid == uid && known.is_newer_than(version)) {
            return;
        }
        let old = self.by_key.remove(&key).map(|known| known.autoscaler);
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
        let known = Known {
            autoscaler: Arc::new(autoscaler),
            version,
        };
        self.by_key.insert(known.autoscaler.key.clone(), known);
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

impl Known {
    fn is_newer_than(&self, version: Option<u64>) -> bool {
        let versions = self.version.zip(version);
        versions.is_some_and(|(known, version)| known > version)
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a panic is how a test says what is wrong"
    )]

    use serde_json::{Value, json};

    use super::{Autoscalers, Store as _};
    use crate::resource::ReplicaAutoscaler;

    fn web(uid: &str, version: &str, status: Value) -> ReplicaAutoscaler {
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
        serde_json::from_value(json!({
            "metadata": {
                "namespace": "default", "name": "web", "uid": uid,
                "generation": 1, "resourceVersion": version,
            },
            "spec": { "scaleTargetRef": target, "maxReplicas": 9 },
            "status": status,
        }))
        .unwrap()
    }

    fn desired(known: &Autoscalers) -> Vec<i32> {
        let all = known.all();
        all.iter().map(|web| web.status.desired_replicas).collect()
    }

    #[test]
    fn what_was_written_is_known_at_once_and_stays_until_something_newer() {
        let mut known = Autoscalers::default();
        let replicas = |replicas: i32| json!({ "desiredReplicas": replicas });
        known.apply(web("a", "9", replicas(1)));
        known.update(web("a", "11", replicas(3)));
        known.apply(web("a", "10", replicas(2)));
        assert_eq!(desired(&known), [3]);
        known.apply(web("a", "11", replicas(3)));
        known.apply(web("a", "12", replicas(4)));
        assert_eq!(desired(&known), [4]);

        known.delete(web("a", "13", replicas(4)));
        known.update(web("a", "12", replicas(4)));
        assert!(desired(&known).is_empty());
        known.apply(web("b", "14", replicas(5)));
        known.update(web("a", "15", replicas(4)));
        assert_eq!(desired(&known), [5]);
    }

    #[test]
    fn a_status_that_cannot_be_read_counts_as_none() {
        let mut known = Autoscalers::default();
        known.apply(web("a", "9", json!({ "desiredReplicas": "many" })));
        assert_eq!(desired(&known), [0]);
    }

    #[test]
    fn a_spec_that_cannot_be_read_ends_its_autoscaler_and_no_other() {
        let mut known = Autoscalers::default();
        known.apply(web("a", "9", Value::Null));
        let mut other = web("b", "10", Value::Null);
        other.metadata.name = Some("other".to_owned());
        known.apply(other);
        known.changed = false;

        let bad = json!({
            "metadata": {
                "namespace": "default", "name": "web", "uid": "a",
                "generation": 2, "resourceVersion": "11",
            },
            "spec": { "maxReplicas": "many" },
        });
        known.apply(serde_json::from_value(bad).unwrap());
        let names = |known: &Autoscalers| -> Vec<String> {
            let all = known.all();
            all.iter().map(|one| one.key.name.to_string()).collect()
        };
        assert_eq!(names(&known), ["other"]);
        assert!(known.changed);

        known.apply(web("a", "12", Value::Null));
        assert_eq!(names(&known), ["other", "web"]);
    }
}
