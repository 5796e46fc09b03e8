//! The cluster's data, and the ports through which the loop accesses it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flyball_decision::context::GrantedInput;
use flyball_decision::key::ObjectKey;
use flyball_decision::memory::StateStore;
use flyball_decision::memory::{InMemoryStore, SavedState};
use flyball_decision::ports::Clock;
use flyball_decision::recorder::Recorder;
use flyball_decision::time::Timestamp;
use flyball_replicas::ports::{
    Autoscaler, NoRowsLeft, Observation, Question, Reader, Report, Scale, ScaleIntent, Writer,
};
use flyball_replicas::record::DecisionRecord;
use flyball_replicas::rows::{self, RowBudget};
use flyball_test_policies::TestEngine;

use super::Policy;

type Observe = dyn Fn(&Question, &mut Observation) + Send + Sync;

#[derive(Default)]
pub(super) struct Cluster {
    pub(super) autoscalers: BTreeMap<String, Arc<Autoscaler>>,
    pub(super) replicas: BTreeMap<String, i32>,
    pub(super) incoming: Option<Policy>,
    pub(super) observe: Option<Box<Observe>>,
    pub(super) events: BTreeMap<String, Vec<String>>,
    pub(super) records: Vec<Arc<DecisionRecord>>,
    pub(super) saves: Vec<SavedState>,
    pub(super) gone: Vec<ObjectKey>,
    pub(super) refusal: Option<String>,
    pub(super) row_limit: Option<usize>,
    /// By namespace.
    pub(super) ready_pods: BTreeMap<String, usize>,
}

/// The cluster, and the engine that finds its policies.
#[derive(Clone, Default)]
pub(super) struct Shared(pub(super) Arc<Mutex<Cluster>>, pub(super) Arc<TestEngine>);

/// A store in memory that also remembers everything that was saved.
pub(super) struct Store {
    pub(super) objects: InMemoryStore,
    pub(super) shared: Shared,
}

impl StateStore for Store {
    fn load(&self, uid: &Arc<str>) -> Option<Arc<SavedState>> {
        self.objects.load(uid)
    }

    fn save(&self, uid: &Arc<str>, saved: SavedState) {
        self.shared.0.lock().unwrap().saves.push(saved.clone());
        self.objects.save(uid, saved);
    }

    fn forget(&self, uid: &Arc<str>) {
        self.objects.forget(uid);
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

    async fn observe(
        &self,
        _: Timestamp,
        questions: &[Question],
    ) -> Vec<Result<Observation, NoRowsLeft>> {
        let mut cluster = self.0.lock().unwrap();
        let mut budget = RowBudget::default();
        let limit = cluster.row_limit.unwrap_or(usize::MAX);
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
            let pods = observation.pods.as_ref().map_or(0, |pods| pods.len());
            let rows = rows::of(&question.autoscaler.spec, pods);
            let namespace = &question.autoscaler.key.namespace;
            let is_within = budget.take(namespace, rows, || limit);
            is_within.then_some(observation).ok_or(NoRowsLeft { rows })
        };
        let observations = questions.iter().map(observe).collect();
        if let Some(policy) = cluster.incoming.take() {
            self.1.replicas.insert(policy.resolve());
        }
        observations
    }

    fn row_limit(&self, _: &str) -> usize {
        let cluster = self.0.lock().unwrap();
        cluster.row_limit.unwrap_or(usize::MAX)
    }

    fn ready_pods(&self, namespace: &str) -> usize {
        let cluster = self.0.lock().unwrap();
        let ready = cluster.ready_pods.get(namespace);
        ready.copied().unwrap_or(usize::MAX)
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

impl Recorder<DecisionRecord> for Shared {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.0.lock().unwrap().records.push(Arc::clone(record));
    }

    fn forget(&self, object: &ObjectKey) {
        self.0.lock().unwrap().gone.push(object.clone());
    }
}
