//! A tick of the loop over the autoscalers of a cache.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::context::GrantedInput;
use flyball_decision::memory::InMemoryStore;
use flyball_decision::ports::{Clock, DecisionPorts};
use flyball_decision::replica::ReplicaDecision;
use flyball_decision::ring::Ring;
use flyball_decision::time::Timestamp;
use flyball_replicas::control::ReplicaLoop;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::ports::{
    Autoscaler, NoRowsLeft, Observation, ObservationError, Question, Reader, Report, Scale,
    ScaleIntent, Writer,
};
use flyball_replicas::record::DecisionRecord;
use flyball_test_policies::{TestEngine, policy};
use futures::FutureExt as _;

use crate::cache::Autoscalers;
use crate::resource::ReplicaAutoscaler;
use crate::watch::Change;

/// Replicas that the policy asks for.
pub(super) const REPLICAS: i32 = 5;

/// Decides about these objects once. Returns the replicas that each gets, by its name. `None`
/// if nothing is decided.
pub(super) fn decide(objects: Vec<ReplicaAutoscaler>) -> BTreeMap<String, Option<i32>> {
    let mut autoscalers = Autoscalers::default();
    for object in objects {
        autoscalers.take(Change::Apply(object));
    }
    let asks = policy("hpa", |_, _| {
        Ok(ReplicaDecision {
            replicas: Some(i64::from(REPLICAS)),
            ..ReplicaDecision::default()
        })
    });
    let engine = TestEngine::default();
    engine.replicas.insert(asks.resolve());
    let records = Arc::new(Ring::<DecisionRecord>::new(usize::MAX));
    let ports = DecisionPorts {
        engine: Arc::new(engine),
        recorder: Arc::clone(&records) as _,
        store: Arc::new(InMemoryStore::default()),
    };
    let options = ReplicaOptions::default();
    let mut control = ReplicaLoop::new(options, Cached(autoscalers), Accepting, Still, ports);
    control.tick(Timestamp(0)).now_or_never().unwrap();
    let records = records.latest(10);
    let decided = records
        .iter()
        .map(|record| (record.object.name.to_string(), record.verdict.to));
    decided.collect()
}

/// The autoscalers of a cache. Their targets have three replicas, of which nothing is known.
struct Cached(Autoscalers);

impl Reader for Cached {
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        self.0.all()
    }

    async fn observe(
        &self,
        _: Timestamp,
        questions: &[Question],
    ) -> Vec<Result<Observation, NoRowsLeft>> {
        let observation = |question: &Question| {
            Ok(Observation {
                scale: self.scale(&question.autoscaler),
                pods: Ok([].into()),
                metrics: Vec::new(),
                labels: GrantedInput::default(),
                annotations: GrantedInput::default(),
            })
        };
        questions.iter().map(observation).collect()
    }
}

impl Cached {
    fn scale(&self, autoscaler: &Autoscaler) -> Result<Scale, ObservationError> {
        if let Some(problem) = self.0.problem(&autoscaler.key) {
            return Err(ObservationError {
                class: "invalidSpec",
                message: problem.to_string(),
            });
        }
        Ok(Scale {
            spec_replicas: 3,
            status_replicas: 3,
            selector: "app=web".into(),
            resource_version: "1".into(),
        })
    }
}

/// Accepts everything that is written.
struct Accepting;

impl Writer for Accepting {
    async fn scale(&self, _: Timestamp, intents: Vec<ScaleIntent>) -> Vec<Result<(), String>> {
        intents.iter().map(|_| Ok(())).collect()
    }

    async fn report(&self, _: Timestamp, _: Vec<Report>) {}
}

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    async fn sleep_until(&self, _: Timestamp) -> bool {
        false
    }
}
