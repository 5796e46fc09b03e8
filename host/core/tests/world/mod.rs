//! A cluster of plain data around the loop, and policies that are closures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flyball_core::control::{ReplicaLoop, ReplicaOptions};
use flyball_core::memory::{InMemoryStore, Kept};
use flyball_core::policy::{
    Budget, Description, PolicyEngine, PolicyFailure, PolicyOutcome, PolicyVersion, ReplicaPolicy,
    RolledBack, Usage, WantedInput,
};
use flyball_core::ports::{
    Autoscaler, Clock, ObjectKey, Observation, Question, Reader, Recorder, Report, Scale,
    ScaleIntent, StateStore, Writer,
};
use flyball_core::record::DecisionRecord;
use flyball_core::replica::{Context, GrantedInput, ReplicaDecision, ReplicaInput};
use flyball_core::status::Condition;
use flyball_core::time::Timestamp;
use serde_json::{Value, json};

type Decide =
    dyn Fn(&Context, &ReplicaInput) -> Result<ReplicaDecision, PolicyFailure> + Send + Sync;

type Observe = dyn Fn(&Question, &mut Observation) + Send + Sync;

#[derive(Clone)]
pub struct Policy {
    version: Arc<PolicyVersion>,
    description: Description,
    decide: Arc<Decide>,
    before: Vec<Policy>,
    rolled_back: Option<RolledBack>,
}

pub fn policy(
    name: &str,
    decide: impl Fn(&Context, &ReplicaInput) -> Result<ReplicaDecision, PolicyFailure>
    + Send
    + Sync
    + 'static,
) -> Policy {
    let version = PolicyVersion {
        name: name.into(),
        digest: format!("sha256:{name}").into(),
        contract: "0.1.0".into(),
        version: "1.0.0".into(),
        state_version: 1,
    };
    let description = Description::default();
    Policy {
        version: Arc::new(version),
        description,
        decide: Arc::new(decide),
        before: Vec::new(),
        rolled_back: None,
    }
}

impl Policy {
    pub fn state_version(mut self, state_version: u32) -> Self {
        self.version = Arc::new(PolicyVersion {
            state_version,
            ..(*self.version).clone()
        });
        self
    }

    /// As another version, by its digest.
    pub fn digest(mut self, digest: &str) -> Self {
        self.version = Arc::new(PolicyVersion {
            digest: format!("sha256:{digest}").into(),
            version: digest.into(),
            ..(*self.version).clone()
        });
        self
    }

    /// As a version that follows these, the latest first.
    pub fn after(mut self, before: impl IntoIterator<Item = Policy>) -> Self {
        self.before = before.into_iter().collect();
        self
    }

    /// As a version that came back.
    pub fn in_place_of(mut self, newer: &Policy, reason: &str) -> Self {
        self.rolled_back = Some(RolledBack {
            from: Arc::clone(&newer.version),
            reason: reason.to_owned(),
        });
        self
    }

    pub fn wants(mut self, kind: &str, arguments: &[(&str, &str)]) -> Self {
        let arguments = arguments.iter();
        self.description.wants.push(WantedInput {
            kind: kind.to_owned(),
            arguments: arguments
                .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        });
        self
    }

    pub fn resolve(&self) -> Arc<dyn ReplicaPolicy> {
        Arc::new(self.clone())
    }
}

impl flyball_core::policy::Policy for Policy {
    fn version(&self) -> &Arc<PolicyVersion> {
        &self.version
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn budget(&self) -> Budget {
        Budget {
            fuel_base: 0,
            fuel_per_row: 0,
            memory_bytes: 0,
            time_ms: 0,
        }
    }

    fn rolled_back(&self) -> Option<&RolledBack> {
        self.rolled_back.as_ref()
    }
}

impl ReplicaPolicy for Policy {
    fn predecessors(&self) -> Vec<Arc<dyn ReplicaPolicy>> {
        self.before.iter().map(Policy::resolve).collect()
    }

    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        let answer = (self.decide)(context, input);
        PolicyOutcome {
            usage: Usage::default(),
            answer,
            log: Vec::new(),
        }
    }
}

#[derive(Default)]
struct Cluster {
    autoscalers: BTreeMap<String, Arc<Autoscaler>>,
    replicas: BTreeMap<String, i32>,
    policies: BTreeMap<String, Policy>,
    quarantined: Option<String>,
    incoming: Option<Policy>,
    observe: Option<Box<Observe>>,
    events: BTreeMap<String, Vec<String>>,
    records: Vec<Arc<DecisionRecord>>,
    saves: Vec<Kept>,
    gone: Vec<ObjectKey>,
    refusal: Option<String>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Cluster>>);

pub struct World {
    shared: Shared,
    store: Arc<Store>,
    options: ReplicaOptions,
    control: ReplicaLoop<Shared, Shared, Shared>,
}

/// The store of a process, which remembers all that was saved.
struct Store {
    objects: InMemoryStore,
    shared: Shared,
}

impl World {
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let shared = Shared::default();
        let by_name = policies
            .into_iter()
            .map(|policy| (policy.version.name.to_string(), policy));
        shared.0.lock().unwrap().policies = by_name.collect();
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

    /// Another loop takes over, with what the store has.
    pub fn restart(&mut self) {
        self.control = control(&self.shared, &self.store, &self.options);
    }

    /// All that was ever saved of objects.
    pub fn saves(&self) -> Vec<Kept> {
        self.shared.0.lock().unwrap().saves.clone()
    }

    /// What is kept of an object.
    pub fn kept(&self, name: &str) -> Option<Arc<Kept>> {
        self.store.load(&format!("uid-{name}").into())
    }

    pub fn remove(&mut self, name: &str) {
        self.shared.0.lock().unwrap().autoscalers.remove(name);
    }

    /// Objects of which the recorder was told that they are gone.
    pub fn gone(&self) -> Vec<String> {
        let cluster = self.shared.0.lock().unwrap();
        cluster
            .gone
            .iter()
            .map(|key| key.name.to_string())
            .collect()
    }

    /// How often a decision stood.
    pub fn stood(&self) -> u64 {
        self.control.stood()
    }

    pub fn set_replicas(&mut self, name: &str, replicas: i32) {
        let mut cluster = self.shared.0.lock().unwrap();
        cluster.replicas.insert(name.to_owned(), replicas);
    }

    /// Adds an autoscaler, or changes its spec: the fields given over the usual.
    pub fn add(&mut self, name: &str, fields: Value) {
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
                namespace: "default".into(),
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
        let name = policy.version.name.to_string();
        self.shared.0.lock().unwrap().policies.insert(name, policy);
    }

    /// As [`World::swap`], but not before the next observation is made.
    pub fn swap_once_observed(&mut self, policy: Policy) {
        self.shared.0.lock().unwrap().incoming = Some(policy);
    }

    pub fn policy(&self, name: &str) -> Policy {
        self.shared.0.lock().unwrap().policies[name].clone()
    }

    pub fn quarantine(&mut self, name: &str) {
        self.shared.0.lock().unwrap().quarantined = Some(name.to_owned());
    }

    /// What is observed from now on: the usual as `change` leaves it.
    pub fn observe(
        &mut self,
        change: impl Fn(&Question, &mut Observation) + Send + Sync + 'static,
    ) {
        self.shared.0.lock().unwrap().observe = Some(Box::new(change));
    }

    pub fn refuse_writes(&mut self, why: &str) {
        self.shared.0.lock().unwrap().refusal = Some(why.to_owned());
    }

    pub fn accept_writes(&mut self) {
        self.shared.0.lock().unwrap().refusal = None;
    }

    /// Ticks, and tells when the next tick is.
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
            .find(|condition| condition.kind == kind)
            .unwrap()
            .clone()
    }

    pub fn has_condition(&self, name: &str, kind: &str) -> bool {
        let cluster = self.shared.0.lock().unwrap();
        let mut conditions = cluster.autoscalers[name].status.conditions.iter();
        conditions.any(|condition| condition.kind == kind)
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
    let [engine, recorder] = std::array::from_fn(|_| Arc::new(shared.clone()));
    let store = Arc::clone(store);
    let options = options.clone();
    ReplicaLoop::new(options, reader, writer, clock, engine, recorder, store)
}

impl StateStore for Store {
    fn load(&self, uid: &Arc<str>) -> Option<Arc<Kept>> {
        self.objects.load(uid)
    }

    fn save(&self, uid: &Arc<str>, kept: Kept) {
        self.shared.0.lock().unwrap().saves.push(kept.clone());
        self.objects.save(uid, kept);
    }

    fn forget(&self, uid: &Arc<str>) {
        self.objects.forget(uid);
    }
}

impl PolicyEngine for Shared {
    fn replica_policy(&self, name: &str) -> Result<Arc<dyn ReplicaPolicy>, PolicyFailure> {
        let cluster = self.0.lock().unwrap();
        if cluster.quarantined.as_deref() == Some(name) {
            return Err(PolicyFailure::Quarantined(format!("{name} is not asked")));
        }
        let policy = cluster.policies.get(name).map(Policy::resolve);
        policy.ok_or_else(|| PolicyFailure::Missing(format!("no policy {name}")))
    }

    fn replica_fallback(&self, _: &str) -> Option<Arc<dyn ReplicaPolicy>> {
        self.replica_policy("hpa").ok()
    }
}

impl Reader for Shared {
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        self.0
            .lock()
            .unwrap()
            .autoscalers
            .values()
            .cloned()
            .collect()
    }

    async fn observe(&self, _: Timestamp, questions: &[Question]) -> Vec<Observation> {
        let mut cluster = self.0.lock().unwrap();
        let observe = |question: &Question| {
            let replicas = cluster.replicas[&*question.autoscaler.key.name];
            let mut observation = Observation {
                scale: Ok(Scale {
                    spec_replicas: replicas,
                    status_replicas: replicas,
                    selector: "app=web".into(),
                    resource_version: "1".into(),
                }),
                pods: Ok([].into()),
                metrics: Vec::new(),
                labels: GrantedInput::default(),
                annotations: GrantedInput::default(),
            };
            if let Some(change) = &cluster.observe {
                change(question, &mut observation);
            }
            observation
        };
        let observations = questions.iter().map(observe).collect();
        if let Some(policy) = cluster.incoming.take() {
            let name = policy.version.name.to_string();
            cluster.policies.insert(name, policy);
        }
        observations
    }
}

impl Writer for Shared {
    async fn scale(&self, _: Timestamp, intents: Vec<ScaleIntent>) -> Vec<Result<(), String>> {
        let mut cluster = self.0.lock().unwrap();
        let mut results = Vec::new();
        for intent in intents {
            if let Some(refusal) = &cluster.refusal {
                results.push(Err(refusal.clone()));
                continue;
            }
            let name = intent.autoscaler.key.name.to_string();
            cluster.replicas.insert(name, intent.replicas);
            results.push(Ok(()));
        }
        results
    }

    async fn report(&self, _: Timestamp, reports: Vec<Report>) {
        let mut cluster = self.0.lock().unwrap();
        for Report {
            autoscaler,
            status,
            events,
        } in reports
        {
            let name = autoscaler.key.name.to_string();
            let told = events
                .into_iter()
                .map(|event| format!("{}: {}", event.reason, event.message));
            cluster.events.entry(name.clone()).or_default().extend(told);
            if let Some(status) = status {
                let changed = Autoscaler {
                    status,
                    ..(*autoscaler).clone()
                };
                cluster.autoscalers.insert(name, Arc::new(changed));
            }
        }
    }
}

impl Clock for Shared {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    async fn sleep_until(&self, _: Timestamp) -> bool {
        false
    }
}

impl Recorder for Shared {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.0.lock().unwrap().records.push(Arc::clone(record));
    }

    fn forget(&self, object: &ObjectKey) {
        self.0.lock().unwrap().gone.push(object.clone());
    }
}
