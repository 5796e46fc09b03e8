//! What whole decisions hold for any load: policy in its sandbox, pipeline and
//! guardrails together.

use std::sync::Arc;

use flyball_core::control::ReplicaOptions;
use flyball_core::memory::Memory;
use flyball_core::pods::{Container, Phase, Pod, PodRequests, Ready, Resources};
use flyball_core::ports::{MetricAnswer, PodSample, Scale};
use flyball_core::time::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use crate::scene::{Situation, decide};

const NOW: Timestamp = Timestamp(1_772_442_088_000);
const REQUEST: i64 = 500;

/// Replicas decided for pods that use so much of their cpu request each, in milli.
fn decided(usage: &[i64], target_percent: i32, (min, max): (i32, i32)) -> i32 {
    let requests = Arc::new(PodRequests {
        containers: vec![Container {
            name: "app".into(),
            requests: Resources::from([("cpu".into(), REQUEST)]),
            restartable: false,
        }],
        ..PodRequests::default()
    });
    let started = NOW.plus(-3_600_000);
    let pod = |row: usize| Pod {
        name: format!("web-{row}").into(),
        phase: Phase::Running,
        ready: Some((Ready::True, Some(started))),
        start: Some(started),
        deletion: None,
        requests: Arc::clone(&requests),
    };
    let pods: Arc<[Pod]> = (0..usage.len()).map(pod).collect();
    let sample = |(pod, &value): (&Pod, &i64)| PodSample {
        pod: Arc::clone(&pod.name),
        value,
        timestamp: NOW,
        window_ms: 15_000,
    };
    let samples = pods.iter().zip(usage).map(sample).collect();
    let current = i32::try_from(usage.len()).unwrap();
    let target = json!({ "type": "Utilization", "averageUtilization": target_percent });
    let (record, _) = decide(Situation {
        now: NOW,
        options: ReplicaOptions::default(),
        spec: serde_json::from_value(json!({
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": min,
            "maxReplicas": max,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": target } }],
        }))
        .unwrap(),
        scale: Scale {
            spec_replicas: current,
            status_replicas: current,
            selector: "app=web".into(),
            resource_version: "1".into(),
        },
        pods: Ok(pods),
        answers: vec![Ok(MetricAnswer::Pods(samples))],
        memory: Memory::default(),
        tolerances: None,
    });
    record.verdict.to.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn replicas_stay_within_bounds_and_never_fall_as_load_rises(
        mut usage in prop::collection::vec(0..5_000i64, 1..30),
        target in 1..200i32,
        (min, span) in (1..40i32, 0..60i32),
        (row, more) in (any::<prop::sample::Index>(), 0..5_000i64),
    ) {
        let bounds = (min, min + span);
        let before = decided(&usage, target, bounds);
        prop_assert!((bounds.0..=bounds.1).contains(&before));
        let row = row.index(usage.len());
        usage[row] += more;
        prop_assert!(decided(&usage, target, bounds) >= before);
    }

    #[test]
    fn load_on_target_changes_nothing(pods in 1..50usize, target in 1..200i32) {
        let usage = vec![REQUEST * i64::from(target) / 100; pods];
        prop_assert_eq!(decided(&usage, target, (1, 100)), i32::try_from(pods).unwrap());
    }
}
