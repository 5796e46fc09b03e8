//! The hostile tenant of the embedded cluster: its objects, and what is observed for them.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flyball_decision::context::GrantedInput;
use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_replicas::pods::{Phase, Pod, Ready};
use flyball_replicas::ports::{
    Autoscaler, MetricAnswer, NoRowsLeft, Observation, ObservationError, PodSample, Question,
    Reader, Report, Scale, ScaleIntent, Writer,
};
use flyball_replicas::rows::{self, RowBudget};
use flyball_replicas::status::AutoscalerStatus;
use flyball_simulation::Cluster;
use serde_json::{Value, json};

/// Its namespace, for which the guest `trap_in_team_a` fails.
pub const NAMESPACE: &str = "team-a";

/// Policies of the files in the policies directory, and the guests that they are.
pub const POLICIES: [(&str, &str); 3] = [
    ("shared", "trap_in_team_a"),
    ("flood", "log_flood"),
    ("demanding", "configuration_demanding"),
];

/// Policy of a further file, which is refused.
pub const REFUSED: &str = "refused";

/// What an object does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Finding 2: its configuration is nearly as large as it may be.
    Configuration,
    /// Finding 3: it has the selector of many others. Only the message is made here: the code
    /// that finds them works on the caches of a real cluster, and `tenants/real` measures it.
    Selector,
    /// Finding 6: a policy fails for it that works for others.
    Failure,
    /// Finding 7: it names a policy whose file is refused, for imports with long names.
    Refused,
    /// Finding 11: it has a million replicas, which are never ready.
    Million,
    /// Finding 16: its policy calls the host as often as it may.
    Slow,
    /// It observes the pods of many others, with as many metrics as it may have.
    Crowd,
    /// Finding 20: no other object has its configuration.
    Distinct,
}

/// How many objects do what: 10,000 in all. Pods of the scenario do more.
const DEEDS: [(Deed, usize); 8] = [
    (Deed::Configuration, 1_000),
    (Deed::Selector, 2_000),
    (Deed::Failure, 1_000),
    (Deed::Refused, 1_000),
    (Deed::Million, 100),
    (Deed::Slow, 1_500),
    (Deed::Crowd, 500),
    (Deed::Distinct, 2_900),
];

/// Number of pods that each object of [`Deed::Crowd`] observes.
const CROWD: usize = 1_000;

/// Number of its metrics: the most that a spec may have.
const METRICS: usize = 20;

/// A cluster with the tenant's objects before its own.
#[derive(Clone)]
pub struct Tenant {
    cluster: Cluster,
    objects: Arc<Mutex<Vec<Arc<Autoscaler>>>>,
    pods: Arc<[Pod]>,
    crowd: Arc<[Pod]>,
}

impl Tenant {
    /// Creates the tenant's objects, or none.
    pub fn new(cluster: Cluster, is_there: bool) -> anyhow::Result<Self> {
        let objects = match is_there {
            true => objects()?,
            false => Vec::new(),
        };
        let pod = |number| Pod {
            name: format!("pod-{number:04}").into(),
            phase: Phase::Running,
            ready: Some((Ready::True, Some(Timestamp(0)))),
            start: Some(Timestamp(0)),
            deletion: None,
            requests: Arc::default(),
        };
        Ok(Self {
            cluster,
            objects: Arc::new(Mutex::new(objects)),
            pods: [pod(0)].into(),
            crowd: (0..CROWD).map(pod).collect(),
        })
    }

    fn objects(&self) -> MutexGuard<'_, Vec<Arc<Autoscaler>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observe_own(
        &self,
        now: Timestamp,
        autoscaler: &Autoscaler,
        budget: &mut RowBudget,
    ) -> Result<Observation, NoRowsLeft> {
        let deed = deed_of(&autoscaler.key.name);
        let replicas = match deed {
            Deed::Million => 1_000_000,
            _ => 3,
        };
        let pods = match deed {
            Deed::Selector => Err(ObservationError {
                class: "ambiguousSelector",
                message: format!(
                    "pods by selector app=web are controlled by multiple ReplicaAutoscalers: \
                     [{}]",
                    "selector-00000 ".repeat(100)
                ),
            }),
            Deed::Million => Ok([].into()),
            Deed::Crowd => Ok(Arc::clone(&self.crowd)),
            _ => Ok(Arc::clone(&self.pods)),
        };
        let count = pods.as_ref().map_or(0, |pods| pods.len());
        let rows = rows::of(&autoscaler.spec, count);
        let row_limit = || self.row_limit(NAMESPACE);
        if !budget.take(&autoscaler.key.namespace, rows, row_limit) {
            return Err(NoRowsLeft { rows });
        }
        Ok(Observation {
            scale: Ok(Scale {
                spec_replicas: replicas,
                status_replicas: replicas,
                selector: "app=web".into(),
                resource_version: "1".into(),
            }),
            pods,
            metrics: self.measure_own(now, deed),
            labels: GrantedInput::default(),
            annotations: GrantedInput::default(),
        })
    }

    fn measure_own(
        &self,
        now: Timestamp,
        deed: Deed,
    ) -> Vec<Result<MetricAnswer, ObservationError>> {
        // Another value at each sync, so that no decision is reused.
        let value = 3_000 + now.0 / crate::SYNC_MS % 7;
        if deed != Deed::Crowd {
            return vec![Ok(MetricAnswer::Values([value].into()))];
        }
        let sample = |pod: &Pod| PodSample {
            pod: Arc::clone(&pod.name),
            value,
            timestamp: now,
            window_ms: crate::SYNC_MS,
        };
        let samples = self.crowd.iter().map(sample).collect();
        vec![Ok(MetricAnswer::Pods(samples)); METRICS]
    }
}

fn is_own(autoscaler: &Autoscaler) -> bool {
    *autoscaler.key.namespace == *NAMESPACE
}

/// Returns the numbers of the objects that do a deed.
fn numbers() -> impl Iterator<Item = (Deed, Range<usize>)> {
    let mut first = 0;
    DEEDS.into_iter().map(move |(deed, count)| {
        let numbers = first..first + count;
        first += count;
        (deed, numbers)
    })
}

fn deed_of(name: &str) -> Deed {
    let number = name.rsplit('-').next().and_then(|text| text.parse().ok());
    let mut deeds = numbers();
    let deed = deeds.find(|(_, numbers)| number.is_some_and(|number| numbers.contains(&number)));
    deed.map_or(Deed::Distinct, |(deed, _)| deed)
}

fn objects() -> anyhow::Result<Vec<Arc<Autoscaler>>> {
    let mut objects = Vec::new();
    for (deed, numbers) in numbers() {
        for number in numbers {
            objects.push(Arc::new(object(deed, number)?));
        }
    }
    Ok(objects)
}

fn object(deed: Deed, number: usize) -> anyhow::Result<Autoscaler> {
    let name = format!("hostile-{number:05}");
    let policy = match deed {
        Deed::Configuration => json!({ "name": "hpa", "config": large(number) }),
        Deed::Selector | Deed::Million | Deed::Crowd => json!({ "name": "hpa" }),
        Deed::Failure => json!({ "name": "shared" }),
        Deed::Refused => json!({ "name": REFUSED }),
        Deed::Slow => json!({ "name": "flood" }),
        Deed::Distinct => json!({ "name": "demanding", "config": { "ceiling": number + 1 } }),
    };
    let target = json!({ "type": "AverageValue", "averageValue": "1" });
    let external = json!({ "metric": { "name": "queue" }, "target": target });
    let mut spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
        "minReplicas": 1,
        "maxReplicas": 1_000_000,
        "metrics": [{ "type": "External", "external": external }],
        "policies": [policy],
    });
    if deed == Deed::Crowd {
        let usage = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
        spec["mode"] = json!("Observe");
        spec["metrics"] = vec![usage; METRICS].into();
    }
    Ok(Autoscaler {
        key: ObjectKey {
            namespace: NAMESPACE.into(),
            name: name.into(),
        },
        uid: format!("uid-{number:05}").into(),
        generation: 1,
        spec: Arc::new(serde_json::from_value(spec)?),
        status: Arc::new(AutoscalerStatus::default()),
    })
}

/// Returns a configuration of some 60 KiB that differs by number.
fn large(number: usize) -> Value {
    let words = (0..5_900).map(|word| format!("{word:04}-{number:02}"));
    json!({ "words": words.collect::<Vec<_>>() })
}

impl Reader for Tenant {
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        let mut all = self.objects().clone();
        all.extend(self.cluster.autoscalers());
        all
    }

    async fn observe(
        &self,
        now: Timestamp,
        questions: &[Question],
    ) -> Vec<Result<Observation, NoRowsLeft>> {
        let others: Vec<Question> = questions
            .iter()
            .filter(|question| !is_own(&question.autoscaler))
            .cloned()
            .collect();
        let mut others = self.cluster.observe(now, &others).await.into_iter();
        let mut budget = RowBudget::default();
        let observe = |question: &Question| match is_own(&question.autoscaler) {
            true => Some(self.observe_own(now, &question.autoscaler, &mut budget)),
            false => others.next(),
        };
        questions.iter().filter_map(observe).collect()
    }

    /// As on a real cluster.
    fn row_limit(&self, _: &str) -> usize {
        rows::limit(CROWD)
    }
}

impl Writer for Tenant {
    async fn scale(&self, now: Timestamp, intents: Vec<ScaleIntent>) -> Vec<Result<(), String>> {
        let are_own: Vec<bool> = intents
            .iter()
            .map(|intent| is_own(&intent.autoscaler))
            .collect();
        let others = intents.into_iter();
        let others = others.filter(|intent| !is_own(&intent.autoscaler));
        let others = self.cluster.scale(now, others.collect()).await;
        let mut others = others.into_iter();
        let result = |is_own: bool| match is_own {
            true => Some(Ok(())),
            false => others.next(),
        };
        are_own.into_iter().filter_map(result).collect()
    }

    async fn report(&self, now: Timestamp, reports: Vec<Report>) {
        let (own, others): (Vec<Report>, Vec<Report>) = reports
            .into_iter()
            .partition(|report| is_own(&report.autoscaler));
        {
            let mut known = self.objects();
            for Report {
                autoscaler, status, ..
            } in own
            {
                // Ordered by key.
                let found = known.binary_search_by(|known| known.key.cmp(&autoscaler.key));
                if let (Ok(row), Some(status)) = (found, status) {
                    known[row] = Arc::new(Autoscaler {
                        status,
                        ..(*autoscaler).clone()
                    });
                }
            }
        }
        self.cluster.report(now, others).await;
    }
}
