//! What whole decisions hold for any load: policy in its sandbox, pipeline and
//! guardrails together.

use std::sync::{Arc, Mutex};

use flyball_decision::context::GrantedInput;
use flyball_decision::time::Timestamp;
use flyball_replicas::control::ReplicaLoop;
use flyball_replicas::memory::ObjectMemory;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::pods::{Container, Phase, Pod, PodRequests, Ready, Resources};
use flyball_replicas::ports::{
    Autoscaler, MetricAnswer, NoRowsLeft, Observation, PodSample, Question, Reader, Report, Scale,
    ScaleIntent, Writer,
};
use flyball_replicas::spec::AutoscalerSpec;
use flyball_replicas::status::AutoscalerStatus;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::hpa::decide::{Situation, autoscaler, decide};
use crate::hpa::reconcile::{Never, decision_ports};

const NOW: Timestamp = Timestamp(1_772_442_088_000);
const SYNC_MS: i64 = 15_000;
const REQUEST: i64 = 500;

/// What is known of a pod.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    /// Ready, with a sample.
    Ready,
    /// Ready, and the metrics lack it.
    NoSample,
    /// Not yet running, with a sample all the same.
    Pending,
    /// Running for a minute, and not ready yet.
    Unready,
}

fn known() -> impl Strategy<Value = Known> {
    prop_oneof![
        3 => Just(Known::Ready),
        1 => Just(Known::NoSample),
        1 => Just(Known::Pending),
        1 => Just(Known::Unready),
    ]
}

/// A metric of each source, with each target that it can have.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    ResourceUtilization,
    ResourceAverageValue,
    ContainerResourceUtilization,
    ContainerResourceAverageValue,
    PodsAverageValue,
    ObjectValue,
    ObjectAverageValue,
    ExternalValue,
    ExternalAverageValue,
}

const KINDS: [Kind; 9] = [
    Kind::ResourceUtilization,
    Kind::ResourceAverageValue,
    Kind::ContainerResourceUtilization,
    Kind::ContainerResourceAverageValue,
    Kind::PodsAverageValue,
    Kind::ObjectValue,
    Kind::ObjectAverageValue,
    Kind::ExternalValue,
    Kind::ExternalAverageValue,
];

impl Kind {
    /// The metric with a target of so many percent of what a pod requests.
    fn metric(self, target_percent: i32) -> Value {
        let quantity = format!("{}m", REQUEST * i64::from(target_percent) / 100);
        let utilization = json!({ "type": "Utilization", "averageUtilization": target_percent });
        let average = json!({ "type": "AverageValue", "averageValue": quantity });
        let value = json!({ "type": "Value", "value": quantity });
        let resource = |target: Value| json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
        let container = |target: Value| {
            json!({
                "type": "ContainerResource",
                "containerResource": { "name": "cpu", "container": "app", "target": target },
            })
        };
        let object = |target: Value| {
            let described = json!({ "apiVersion": "v1", "kind": "Service", "name": "web" });
            json!({
                "type": "Object",
                "object": { "describedObject": described, "metric": { "name": "m" }, "target": target },
            })
        };
        let external = |target: Value| json!({ "type": "External", "external": { "metric": { "name": "m" }, "target": target } });
        match self {
            Self::ResourceUtilization => resource(utilization),
            Self::ResourceAverageValue => resource(average),
            Self::ContainerResourceUtilization => container(utilization),
            Self::ContainerResourceAverageValue => container(average),
            Self::PodsAverageValue => {
                json!({ "type": "Pods", "pods": { "metric": { "name": "m" }, "target": average } })
            }
            Self::ObjectValue => object(value),
            Self::ObjectAverageValue => object(average),
            Self::ExternalValue => external(value),
            Self::ExternalAverageValue => external(average),
        }
    }

    /// What is measured of pods of which each uses so much, in milli: their sum against an
    /// average, their mean against a value.
    fn answer(self, pods: &[Pod], used: &[(Known, i64)], now: Timestamp) -> MetricAnswer {
        let sum: i64 = used.iter().map(|(_, milli)| milli).sum();
        match self {
            Self::ObjectValue | Self::ExternalValue => {
                MetricAnswer::Values([sum / used.len() as i64].into())
            }
            Self::ObjectAverageValue | Self::ExternalAverageValue => {
                MetricAnswer::Values([sum].into())
            }
            _ => samples(pods, used, now),
        }
    }

    /// Replicas are counted from pods that are ready, and kept as they are while usage is
    /// about on target, as upstream has it: with pods that are not ready, a little more load
    /// may ask for fewer.
    fn is_of_ready_pods(self) -> bool {
        matches!(self, Self::ObjectValue | Self::ExternalValue)
    }
}

fn spec(kind: Kind, target_percent: i32, (min, max): (i32, i32)) -> AutoscalerSpec {
    serde_json::from_value(json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "minReplicas": min,
        "maxReplicas": max,
        "metrics": [kind.metric(target_percent)],
    }))
    .unwrap()
}

fn scale(replicas: i32) -> Scale {
    Scale {
        spec_replicas: replicas,
        status_replicas: replicas,
        selector: "app=web".into(),
        resource_version: "1".into(),
    }
}

/// Pods of which so much is known.
fn pods(pods: &[(Known, i64)], now: Timestamp) -> Arc<[Pod]> {
    let requests = Arc::new(PodRequests {
        containers: vec![Container {
            name: "app".into(),
            requests: Resources::from([("cpu".into(), REQUEST)]),
            restartable: false,
        }],
        ..PodRequests::default()
    });
    let pod = |(row, &(known, _)): (usize, &(Known, i64))| {
        let (phase, ready, age_ms) = match known {
            Known::Ready | Known::NoSample => (Phase::Running, Ready::True, 3_600_000),
            Known::Pending => (Phase::Pending, Ready::False, 60_000),
            Known::Unready => (Phase::Running, Ready::False, 60_000),
        };
        let started = Some(now.plus(-age_ms));
        Pod {
            name: format!("web-{row}").into(),
            phase,
            ready: Some((ready, started)),
            start: started,
            deletion: None,
            requests: Arc::clone(&requests),
        }
    };
    pods.iter().enumerate().map(pod).collect()
}

/// What the pods use each, in milli, as far as it is measured.
fn samples(pods: &[Pod], used: &[(Known, i64)], now: Timestamp) -> MetricAnswer {
    let measured = pods.iter().zip(used);
    let measured = measured.filter(|(_, (known, _))| *known != Known::NoSample);
    let sample = |(pod, &(_, value)): (&Pod, &(Known, i64))| PodSample {
        pod: Arc::clone(&pod.name),
        value,
        timestamp: now,
        window_ms: SYNC_MS,
    };
    MetricAnswer::Pods(measured.map(sample).collect())
}

/// Returns the replicas decided. `None` to hold.
fn decided(
    kind: Kind,
    of: &[(Known, i64)],
    target_percent: i32,
    bounds: (i32, i32),
) -> Option<i32> {
    let pods = pods(of, NOW);
    let answer = kind.answer(&pods, of, NOW);
    let (record, _) = decide(Situation {
        now: NOW,
        options: ReplicaOptions::default(),
        spec: spec(kind, target_percent, bounds),
        scale: scale(i32::try_from(of.len()).unwrap()),
        pods: Ok(pods),
        answers: vec![Ok(answer)],
        memory: ObjectMemory::default(),
        tolerances: None,
    });
    record.verdict.to
}

/// A workload whose pods share a constant load, and are ready at once.
#[derive(Clone)]
struct Workload(Arc<Mutex<State>>);

struct State {
    autoscaler: Arc<Autoscaler>,
    kind: Kind,
    /// Used by all pods together, in milli.
    load: i64,
    replicas: i32,
}

impl Workload {
    /// Replicas after each of so many syncs.
    fn replicas(kind: Kind, load: i64, replicas: i32, target: i32, syncs: i64) -> Vec<i32> {
        let spec = spec(kind, target, (1, 200));
        let workload = Self(Arc::new(Mutex::new(State {
            autoscaler: Arc::new(autoscaler(spec, AutoscalerStatus::default(), 1)),
            kind,
            load,
            replicas,
        })));
        let mut control = ReplicaLoop::new(
            ReplicaOptions::default(),
            workload.clone(),
            workload.clone(),
            Never,
            decision_ports(),
        );
        let replicas = (0..syncs).map(|sync| {
            pollster::block_on(control.tick(NOW.plus(sync * SYNC_MS)));
            workload.0.lock().unwrap().replicas
        });
        replicas.collect()
    }
}

impl Reader for Workload {
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        vec![Arc::clone(&self.0.lock().unwrap().autoscaler)]
    }

    async fn observe(
        &self,
        now: Timestamp,
        _: &[Question],
    ) -> Vec<Result<Observation, NoRowsLeft>> {
        let state = self.0.lock().unwrap();
        let &State {
            kind,
            load,
            replicas,
            ..
        } = &*state;
        let used = vec![(Known::Ready, load / i64::from(replicas)); replicas as usize];
        let pods = pods(&used, now);
        let answer = kind.answer(&pods, &used, now);
        vec![Ok(Observation {
            scale: Ok(scale(replicas)),
            pods: Ok(pods),
            metrics: vec![Ok(answer)],
            labels: GrantedInput::default(),
            annotations: GrantedInput::default(),
        })]
    }
}

impl Writer for Workload {
    async fn scale(&self, _: Timestamp, intents: Vec<ScaleIntent>) -> Vec<Result<(), String>> {
        self.0.lock().unwrap().replicas = intents[0].replicas;
        vec![Ok(())]
    }

    async fn report(&self, _: Timestamp, reports: Vec<Report>) {
        let mut state = self.0.lock().unwrap();
        for status in reports.into_iter().filter_map(|report| report.status) {
            let autoscaler = (*state.autoscaler).clone();
            state.autoscaler = Arc::new(Autoscaler {
                status,
                ..autoscaler
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn replicas_stay_within_bounds_and_never_fall_as_load_rises(
        kind in prop::sample::select(&KINDS),
        mut usage in prop::collection::vec((known(), 0..5_000i64), 1..30),
        target in 1..200i32,
        (min, span) in (1..40i32, 0..60i32),
        (row, more) in (any::<prop::sample::Index>(), 0..5_000i64),
    ) {
        let bounds = (min, min + span);
        if kind.is_of_ready_pods() {
            usage.iter_mut().for_each(|(known, _)| *known = Known::Ready);
        }
        let before = decided(kind, &usage, target, bounds);
        let row = row.index(usage.len());
        usage[row].1 += more;
        let after = decided(kind, &usage, target, bounds);
        // More load makes nothing known that was not.
        prop_assert_eq!(before.is_some(), after.is_some());
        if let (Some(before), Some(after)) = (before, after) {
            prop_assert!((bounds.0..=bounds.1).contains(&before));
            prop_assert!(after >= before, "{} after {}", after, before);
        }
    }

    #[test]
    fn load_on_target_changes_nothing(
        kind in prop::sample::select(&KINDS),
        replicas in 1..50i32,
        target in 1..200i32,
    ) {
        let load = REQUEST * i64::from(target) / 100 * i64::from(replicas);
        let over_time = Workload::replicas(kind, load, replicas, target, 30);
        prop_assert!(over_time.iter().all(|&now| now == replicas), "{:?}", over_time);
    }

    #[test]
    fn under_a_constant_load_replicas_come_to_rest_where_it_is_on_target(
        kind in prop::sample::select(&KINDS),
        load in 1_000..20_000i64,
        replicas in 1..60i32,
        target in 20..150i32,
    ) {
        let over_time = Workload::replicas(kind, load, replicas, target, 100);
        let last = over_time[99];
        // Up comes in a few doublings, down when the window of five minutes is over.
        // Utilization is known in whole percent: a small one leads a little astray,
        // and the way back may cost a second window.
        prop_assert!(over_time[60..].iter().all(|&now| now == last), "{:?}", over_time);
        let utilization = |replicas: i32| {
            load as f64 * 100.0 / f64::from(replicas) / REQUEST as f64
        };
        let wanted = f64::from(target);
        prop_assert!(last == 200 || utilization(last) <= 1.1 * wanted + 1.0, "{last}");
        prop_assert!(last == 1 || utilization(last - 1) > 0.9 * wanted - 1.0, "{last}");
    }
}
