//! `pipeline/sync-10000`: a full sync of 10,000 objects of 10 pods each, with metrics in
//! memory, every decision in its sandbox, guardrails, and records in the ring; and the
//! same for fewer objects. `pipeline/sync-growth`: time of an object of 10,000 relative
//! to one of 1,000; 1 is linear. `pipeline/idle-10000`: a sync in which every decision
//! stands, as nothing changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use flyball_decision::context::GrantedInput;
use flyball_decision::key::ObjectKey;
use flyball_decision::memory::InMemoryStore;
use flyball_decision::policy::PolicyEngine;
use flyball_decision::ports::{Clock, DecisionPorts};
use flyball_decision::ring::Ring;
use flyball_decision::time::Timestamp;
use flyball_replicas::control::ReplicaLoop;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::pods::{Container, Phase, Pod, PodRequests, Ready, Resources};
use flyball_replicas::ports::{
    Autoscaler, MetricAnswer, NoRowsLeft, Observation, PodSample, Question, Reader, Report, Scale,
    ScaleIntent, Writer,
};
use flyball_replicas::record::DecisionRecord;
use flyball_replicas::spec::AutoscalerSpec;
use flyball_replicas::status::AutoscalerStatus;
use flyball_sandbox::{Engine, EngineOptions, Registry, RegistryOptions};
use flyball_test_support::bench::report;
use serde_json::json;

const PODS: usize = 10;
const SYNC_MS: i64 = 15_000;
/// Number of syncs that are timed, after those that fill the histories.
const TIMED: i64 = 5;
const WARM: i64 = 20;

/// The daemon's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let registry = Registry::open(
        &engine,
        RegistryOptions::default(),
        flyball_policies::BUILTIN,
    )?;
    let engine: Arc<dyn PolicyEngine> = Arc::new(registry);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut per_object = Vec::new();
    for (count, target) in [(1_000, None), (5_000, None), (10_000, Some(1.0))] {
        let seconds = runtime.block_on(sync(count, true, Arc::clone(&engine)))?;
        report(&format!("pipeline/sync-{count}"), seconds, "s", target)?;
        per_object.push(seconds / count as f64);
    }
    if let [few, .., many] = per_object[..] {
        report("pipeline/sync-growth", many / few, "", Some(1.5))?;
    }
    let seconds = runtime.block_on(sync(10_000, false, engine))?;
    report("pipeline/idle-10000", seconds, "s", None)?;
    Ok(())
}

/// Returns the median time of a full sync, in seconds.
async fn sync(count: usize, busy: bool, engine: Arc<dyn PolicyEngine>) -> anyhow::Result<f64> {
    let objects = Arc::new(objects(count, busy)?);
    let ring = Arc::new(Ring::<DecisionRecord>::new(256 << 20));
    let options = ReplicaOptions {
        sync_period_ms: SYNC_MS,
        max_decision_age_ms: i64::MAX,
        ..ReplicaOptions::default()
    };
    let mut control = ReplicaLoop::new(
        options,
        Arc::clone(&objects),
        Statuses(objects),
        Nobody,
        DecisionPorts {
            engine,
            recorder: Arc::clone(&ring) as _,
            store: Arc::new(InMemoryStore::default()),
        },
    );
    let mut times = Vec::new();
    for round in 0..WARM + TIMED {
        let start = Instant::now();
        control.tick(Timestamp(round * SYNC_MS)).await;
        times.push(start.elapsed().as_secs_f64());
    }
    // The last decision about each object must be one that a policy made.
    let records = ring.latest(usize::MAX);
    let mut last = BTreeMap::new();
    for record in &records {
        let proposed = record.verdict.proposed.is_some();
        last.entry(&record.object).or_insert(proposed);
    }
    let decided = last.into_values().filter(|&proposed| proposed).count();
    anyhow::ensure!(
        decided == count,
        "a policy proposed for {decided} of {count} objects"
    );
    let reused = control.reused_decisions();
    anyhow::ensure!(
        (reused > 0) != busy,
        "{reused} cached decisions were reused"
    );
    let mut timed = times.split_off(WARM as usize);
    timed.sort_by(f64::total_cmp);
    Ok(timed[timed.len() / 2])
}

struct Objects {
    /// Whether metrics are new at each sync.
    busy: bool,
    autoscalers: Mutex<Vec<Arc<Autoscaler>>>,
    pods: Vec<Arc<[Pod]>>,
}

fn objects(count: usize, busy: bool) -> anyhow::Result<Objects> {
    let spec: AutoscalerSpec = serde_json::from_value(json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "minReplicas": 2,
        "maxReplicas": 100,
        "metrics": [{
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "target": { "type": "Utilization", "averageUtilization": 60 },
            },
        }],
    }))?;
    let requests = Arc::new(PodRequests {
        containers: vec![Container {
            name: "app".into(),
            requests: Resources::from([("cpu".into(), 500)]),
            restartable: false,
        }],
        ..PodRequests::default()
    });
    let autoscaler = |index: usize| {
        let mut spec = spec.clone();
        spec.scale_target_ref.name = format!("web-{index}");
        Arc::new(Autoscaler {
            key: ObjectKey {
                namespace: "bench".into(),
                name: format!("web-{index:05}").into(),
            },
            uid: format!("uid-{index:05}").into(),
            generation: 1,
            spec: Arc::new(spec),
            status: Arc::new(AutoscalerStatus::default()),
        })
    };
    let pods = |index: usize| {
        let pod = |row: usize| Pod {
            name: format!("web-{index:05}-{row}").into(),
            phase: Phase::Running,
            ready: Some((Ready::True, Some(Timestamp(-3_000_000)))),
            start: Some(Timestamp(-3_600_000)),
            deletion: None,
            requests: Arc::clone(&requests),
        };
        (0..PODS).map(pod).collect()
    };
    Ok(Objects {
        busy,
        autoscalers: Mutex::new((0..count).map(autoscaler).collect()),
        pods: (0..count).map(pods).collect(),
    })
}

impl Objects {
    fn known(&self) -> MutexGuard<'_, Vec<Arc<Autoscaler>>> {
        self.autoscalers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader for Objects {
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        self.known().clone()
    }

    async fn observe(
        &self,
        now: Timestamp,
        questions: &[Question],
    ) -> Vec<Result<Observation, NoRowsLeft>> {
        let now = if self.busy { now } else { Timestamp(0) };
        let observe = |pods: &Arc<[Pod]>| {
            let sample = |pod: &Pod| PodSample {
                pod: Arc::clone(&pod.name),
                value: 300 + now.0 / SYNC_MS % 7,
                timestamp: now,
                window_ms: 15_000,
            };
            Ok(Observation {
                scale: Ok(Scale {
                    spec_replicas: PODS as i32,
                    status_replicas: PODS as i32,
                    selector: "app=web".into(),
                    resource_version: "1".into(),
                }),
                pods: Ok(Arc::clone(pods)),
                metrics: vec![Ok(MetricAnswer::Pods(pods.iter().map(sample).collect()))],
                labels: GrantedInput::default(),
                annotations: GrantedInput::default(),
            })
        };
        self.pods
            .iter()
            .take(questions.len())
            .map(observe)
            .collect()
    }
}

/// Writes the statuses of idle objects, which then do not change, and nothing else.
struct Statuses(Arc<Objects>);

impl Writer for Statuses {
    async fn scale(&self, _: Timestamp, intents: Vec<ScaleIntent>) -> Vec<Result<(), String>> {
        intents.iter().map(|_| Ok(())).collect()
    }

    async fn report(&self, _: Timestamp, reports: Vec<Report>) {
        if self.0.busy {
            return;
        }
        let mut known = self.0.known();
        for report in reports {
            // Ordered by key.
            let found = known.binary_search_by(|known| known.key.cmp(&report.autoscaler.key));
            if let (Ok(row), Some(status)) = (found, report.status) {
                known[row] = Arc::new(Autoscaler {
                    status,
                    ..(*report.autoscaler).clone()
                });
            }
        }
    }
}

/// Never waits.
struct Nobody;

impl Clock for Nobody {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    async fn sleep_until(&self, _: Timestamp) -> bool {
        false
    }
}
