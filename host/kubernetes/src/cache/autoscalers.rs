//! Cache of the cluster's `ReplicaAutoscaler`s.
//!
//! If a spec can't be read, it is replaced by one that has no target and writes
//! nothing, so that its problem is reported like that of any other autoscaler.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_placement::Name;
use flyball_replicas::ports::Autoscaler;
use flyball_replicas::spec::{AutoscalerSpec, Combine, CrossVersionObjectReference, Mode};
use kube::ResourceExt;

use crate::resource::ReplicaAutoscaler;
use crate::watch::{Change, Watched, namespaced_id};

/// All autoscalers, by key.
#[derive(Default)]
pub struct Autoscalers {
    by_key: BTreeMap<ObjectKey, Entry>,
    /// Whether an autoscaler was added, deleted or got another spec.
    pub(crate) changed: bool,
}

struct Entry {
    autoscaler: Arc<Autoscaler>,
    /// Why the spec can't be read. `None` if it can.
    problem: Option<Arc<str>>,
    /// metadata.resourceVersion. `None` if it is not a number and can't be compared.
    version: Option<u64>,
}

impl Autoscalers {
    /// Applies the object that a write returned. The watch reports it too, but later
    /// and after older versions of it. An object that was deleted meanwhile is not
    /// added again.
    pub(crate) fn update(&mut self, written: ReplicaAutoscaler) {
        let uid = written.metadata.uid.as_deref();
        let known = self.by_key.get(&key(&written));
        if known.is_some_and(|known| uid == Some(&*known.autoscaler.uid)) {
            self.apply(written);
        }
    }

    /// Returns the mode of an autoscaler. `None` if there is no such autoscaler.
    pub(crate) fn mode(&self, key: &ObjectKey) -> Option<Mode> {
        let known = self.by_key.get(key)?;
        Some(known.autoscaler.spec.mode)
    }

    /// Returns why the spec of an autoscaler can't be read. `None` if it can.
    #[must_use]
    pub fn problem(&self, key: &ObjectKey) -> Option<Arc<str>> {
        self.by_key.get(key)?.problem.clone()
    }

    /// Returns all autoscalers, ordered by key.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Autoscaler>> {
        let all = self.by_key.values();
        all.map(|known| Arc::clone(&known.autoscaler)).collect()
    }
}

impl Autoscalers {
    /// Applies a change.
    pub(crate) fn take(&mut self, change: Change<ReplicaAutoscaler>) {
        match change {
            Change::Apply(object) => self.apply(object),
            Change::Delete(id) => self.delete(&id),
        }
    }

    /// Applies an object as a list or a watch has it.
    pub fn apply(&mut self, incoming: ReplicaAutoscaler) {
        let key = key(&incoming);
        let generation = incoming.metadata.generation.unwrap_or_default();
        let uid: Arc<str> = incoming.uid().unwrap_or_default().into();
        let version = incoming.resource_version().and_then(|v| v.parse().ok());
        let known = self.by_key.get(&key);
        if known.is_some_and(|known| known.autoscaler.uid == uid && known.is_newer_than(version)) {
            return;
        }
        let old = self.by_key.remove(&key);
        let same =
            old.filter(|old| old.autoscaler.generation == generation && old.autoscaler.uid == uid);
        self.changed |= same.is_none();
        let (spec, problem) = match (same, incoming.spec) {
            (Some(same), _) => (Arc::clone(&same.autoscaler.spec), same.problem),
            (None, Ok(spec)) => (Arc::new(spec), None),
            (None, Err(problem)) => (Arc::new(unreadable()), Some(problem.into())),
        };
        let status = Arc::new(incoming.status);
        let autoscaler = Arc::new(Autoscaler {
            key: key.clone(),
            uid,
            generation,
            spec,
            status,
        });
        let known = Entry {
            autoscaler,
            problem,
            version,
        };
        self.by_key.insert(key, known);
    }

    fn delete(&mut self, id: &str) {
        let Some((namespace, name)) = id.split_once('/') else {
            return;
        };
        let key = ObjectKey {
            namespace: namespace.into(),
            name: name.into(),
        };
        self.changed |= self.by_key.remove(&key).is_some();
    }
}

/// A spec that can't be read is an error within the object.
impl Watched for ReplicaAutoscaler {
    type Object = Self;

    fn id(&self) -> Name {
        namespaced_id(&self.namespace().unwrap_or_default(), &self.name_any())
    }

    fn into_object(self) -> Option<Self> {
        Some(self)
    }

    fn problem(&self) -> Option<&str> {
        None
    }
}

/// Returns the replacement of a spec that can't be read. It scales nothing.
fn unreadable() -> AutoscalerSpec {
    AutoscalerSpec {
        scale_target_ref: CrossVersionObjectReference::default(),
        min_replicas: None,
        max_replicas: 0,
        metrics: Vec::new(),
        behavior: None,
        policies: Vec::new(),
        combine: Combine::default(),
        mode: Mode::Observe,
    }
}

fn key(object: &ReplicaAutoscaler) -> ObjectKey {
    ObjectKey {
        namespace: object.namespace().unwrap_or_default().into(),
        name: object.name_any().into(),
    }
}

impl Entry {
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

    use flyball_replicas::spec::Mode;

    use super::Autoscalers;
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

        known.delete("default/web");
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
    fn a_spec_that_cannot_be_read_is_told_with_its_field_and_disturbs_no_other() {
        let mut known = Autoscalers::default();
        known.apply(web("a", "9", Value::Null));
        let mut other = web("b", "10", Value::Null);
        other.metadata.name = Some("other".to_owned());
        known.apply(other);
        known.changed = false;

        let bad = |version: &str, status: Value| {
            let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
            let metric = json!({ "type": "External", "external": { "metric": { "name": 3 } } });
            let spec = json!({ "scaleTargetRef": target, "maxReplicas": 9, "metrics": [metric] });
            let bad = json!({
                "metadata": {
                    "namespace": "default", "name": "web", "uid": "a",
                    "generation": 2, "resourceVersion": version,
                },
                "spec": spec,
                "status": status,
            });
            serde_json::from_value::<ReplicaAutoscaler>(bad).unwrap()
        };
        known.apply(bad("11", Value::Null));
        assert!(std::mem::take(&mut known.changed));
        let problems = |known: &Autoscalers| -> Vec<Option<String>> {
            let all = known.all();
            let problem = |one: &std::sync::Arc<flyball_replicas::ports::Autoscaler>| {
                known.problem(&one.key).map(|problem| problem.to_string())
            };
            all.iter().map(problem).collect()
        };
        let problem = "spec.metrics[0].external.metric.name: invalid type: integer `3`, \
                       expected a string";
        assert_eq!(problems(&known), [None, Some(problem.to_owned())]);
        let mode = known.mode(&known.all()[1].key);
        assert_eq!(mode, Some(Mode::Observe), "it scales nothing");

        // A written status is not a change.
        known.update(bad("12", json!({ "desiredReplicas": 1 })));
        assert!(!known.changed);
        assert_eq!(problems(&known), [None, Some(problem.to_owned())]);

        known.apply(web("a", "13", Value::Null));
        assert!(known.changed);
        assert_eq!(problems(&known), [None, None]);
    }
}
