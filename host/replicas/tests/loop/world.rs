//! A cluster of plain data around the loop, and policies that are closures.

mod shared;

use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::memory::StateStore;
use flyball_decision::memory::{InMemoryStore, SavedState};
use flyball_decision::policy::{self, PolicyFailure};
use flyball_decision::ports::DecisionPorts;
use flyball_decision::time::Timestamp;
use flyball_replicas::control::ReplicaLoop;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::ports::{Autoscaler, Observation, Question};
use flyball_replicas::record::DecisionRecord;
use flyball_replicas::status::Condition;
use serde_json::{Value, json};

pub use flyball_test_policies::{TestPolicy as Policy, policy};

use self::shared::{Shared, Store};

pub struct World {
    shared: Shared,
    store: Arc<Store>,
    options: ReplicaOptions,
    control: ReplicaLoop<Shared, Shared, Shared>,
}

impl World {
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let shared = Shared::default();
        for policy in policies {
            shared.1.replicas.insert(policy.resolve());
        }
        let store = Arc::new(Store {
            objects: InMemoryStore::default(),
            shared: shared.clone(),
        });
        let options = ReplicaOptions::default();
        let control = control(&shared, &store, &options);
        Self {
            shared,
            store,
            options,
            control,
        }
    }

    pub fn options(&mut self, change: impl FnOnce(&mut ReplicaOptions)) {
        change(&mut self.options);
        self.restart();
    }

    /// Replaces the loop by another one with the same store.
    pub fn restart(&mut self) {
        self.control = control(&self.shared, &self.store, &self.options);
    }

    /// Returns everything that was ever saved.
    pub fn saves(&self) -> Vec<SavedState> {
        self.shared.0.lock().unwrap().saves.clone()
    }

    /// Returns what is kept of an object.
    pub fn kept(&self, name: &str) -> Option<Arc<SavedState>> {
        self.store.load(&format!("uid-{name}").into())
    }

    pub fn remove(&mut self, name: &str) {
        self.shared.0.lock().unwrap().autoscalers.remove(name);
    }

    /// Returns the objects that the recorder was asked to forget.
    pub fn gone(&self) -> Vec<String> {
        let cluster = self.shared.0.lock().unwrap();
        cluster
            .gone
            .iter()
            .map(|key| key.name.to_string())
            .collect()
    }

    /// Returns how often a cached decision was reused.
    pub fn reused_decisions(&self) -> u64 {
        self.control.reused_decisions()
    }

    pub fn set_replicas(&mut self, name: &str, replicas: i32) {
        let mut cluster = self.shared.0.lock().unwrap();
        cluster.replicas.insert(name.to_owned(), replicas);
    }

    /// Adds an autoscaler, or changes its spec: `fields` override the defaults.
    pub fn add(&mut self, name: &str, fields: Value) {
        self.add_in("default", name, fields);
    }

    /// Like [`World::add`], in another namespace. Names are unique in all of them.
    pub fn add_in(&mut self, namespace: &str, name: &str, fields: Value) {
        let mut spec = json!({
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "maxReplicas": 10,
        });
        for (key, value) in fields.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let mut cluster = self.shared.0.lock().unwrap();
        let known = cluster.autoscalers.get(name);
        let autoscaler = Autoscaler {
            key: ObjectKey {
                namespace: namespace.into(),
                name: name.into(),
            },
            uid: format!("uid-{name}").into(),
            generation: known.map_or(1, |known| known.generation + 1),
            spec: Arc::new(serde_json::from_value(spec).unwrap()),
            status: known
                .map(|known| Arc::clone(&known.status))
                .unwrap_or_default(),
        };
        cluster
            .autoscalers
            .insert(name.to_owned(), Arc::new(autoscaler));
        cluster.replicas.entry(name.to_owned()).or_insert(3);
    }

    pub fn swap(&mut self, policy: Policy) {
        self.shared.1.replicas.insert(policy.resolve());
    }

    /// Like [`World::swap`], but only once the next observation is made.
    pub fn swap_once_observed(&mut self, policy: Policy) {
        self.shared.0.lock().unwrap().incoming = Some(policy);
    }

    pub fn policy(&self, name: &str) -> Arc<dyn policy::Policy> {
        self.shared.1.replicas.find(name).unwrap()
    }

    pub fn quarantine(&mut self, name: &str) {
        let failure = PolicyFailure::Quarantined(format!("{name} is not asked"));
        self.shared.1.replicas.set(name, Err(failure));
    }

    /// Changes what is observed from now on: the defaults as `change` leaves them.
    pub fn observe(
        &mut self,
        change: impl Fn(&Question, &mut Observation) + Send + Sync + 'static,
    ) {
        self.shared.0.lock().unwrap().observe = Some(Box::new(change));
    }

    /// Limits the rows that the observations of a namespace may have at a time.
    pub fn limit_rows(&mut self, rows: usize) {
        self.shared.0.lock().unwrap().row_limit = Some(rows);
    }

    /// Sets the ready pods of a namespace. Without, it is not known how many it has.
    pub fn set_ready_pods(&mut self, namespace: &str, pods: usize) {
        let mut cluster = self.shared.0.lock().unwrap();
        cluster.ready_pods.insert(namespace.to_owned(), pods);
    }

    pub fn refuse_writes(&mut self, why: &str) {
        self.shared.0.lock().unwrap().refusal = Some(why.to_owned());
    }

    pub fn accept_writes(&mut self) {
        self.shared.0.lock().unwrap().refusal = None;
    }

    /// Ticks, and returns when the next tick is due.
    pub fn tick(&mut self, now: i64) -> i64 {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut tick = std::pin::pin!(self.control.tick(Timestamp(now)));
        loop {
            if let std::task::Poll::Ready(next) = tick.as_mut().poll(&mut context) {
                return next.0;
            }
        }
    }

    pub fn records(&self) -> Vec<Arc<DecisionRecord>> {
        self.shared.0.lock().unwrap().records.clone()
    }

    pub fn replicas(&self, name: &str) -> i32 {
        self.shared.0.lock().unwrap().replicas[name]
    }

    pub fn condition(&self, name: &str, kind: &str) -> Condition {
        let cluster = self.shared.0.lock().unwrap();
        let conditions = &cluster.autoscalers[name].status.conditions;
        conditions
            .iter()
            .find(|condition| *condition.kind == *kind)
            .unwrap()
            .clone()
    }

    pub fn has_condition(&self, name: &str, kind: &str) -> bool {
        let cluster = self.shared.0.lock().unwrap();
        let mut conditions = cluster.autoscalers[name].status.conditions.iter();
        conditions.any(|condition| *condition.kind == *kind)
    }

    pub fn events(&self, name: &str) -> Vec<String> {
        self.shared
            .0
            .lock()
            .unwrap()
            .events
            .get(name)
            .cloned()
            .unwrap_or_default()
    }
}

fn control(
    shared: &Shared,
    store: &Arc<Store>,
    options: &ReplicaOptions,
) -> ReplicaLoop<Shared, Shared, Shared> {
    let [reader, writer, clock] = std::array::from_fn(|_| shared.clone());
    let ports = DecisionPorts {
        engine: Arc::clone(&shared.1) as _,
        recorder: Arc::new(shared.clone()),
        store: Arc::clone(store) as _,
    };
    let options = options.clone();
    ReplicaLoop::new(options, reader, writer, clock, ports)
}
