//! A proposal of the policy → stabilization → rate policy → bounds.

use flyball_decision::replica::Samples;
use flyball_decision::time::Timestamp;
use flyball_replicas::memory::ObjectMemory;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::ports::{MetricAnswer, Scale};
use flyball_replicas::spec::{AutoscalerSpec, Behavior};
use flyball_test_support::vectors;
use serde::Deserialize;
use serde_json::json;

use crate::hpa::decide::{Situation, decide};
use crate::hpa::forms::{ConditionCase, is_apart};

pub const NOW: Timestamp = Timestamp(1_772_442_088_000);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    pub id: String,
    pub tags: Vec<String>,
    pub arch_dependent: bool,
    pub r#in: In,
    pub out: Out,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct In {
    pub current_replicas: i32,
    pub desired_replicas: i32,
    pub min_replicas: i32,
    pub max_replicas: i32,
    pub downscale_stabilization_seconds: i64,
    pub behavior: Option<Behavior>,
    pub recommendations: Option<Vec<Sample>>,
    pub scale_up_events: Option<Vec<Sample>>,
    pub scale_down_events: Option<Vec<Sample>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    #[serde(alias = "change")]
    pub replicas: i32,
    pub ms_ago: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Out {
    pub replicas: i32,
    pub stabilized: i32,
    pub scale_up_limit: Option<i32>,
    pub scale_down_limit: Option<i32>,
    pub conditions: Vec<ConditionCase>,
    pub behavior_defaulted: Option<Behavior>,
    pub recommendations_after: Option<Vec<Sample>>,
    pub scale_up_events_after: Option<Vec<Sample>>,
    pub scale_down_events_after: Option<Vec<Sample>>,
}

/// Cases outside the bounds never get this far in a whole decision, and a policy
/// can't propose less than nothing; the guardrails alone have them too.
fn is_reachable(input: &In) -> bool {
    let bounds = input.min_replicas..=input.max_replicas;
    bounds.contains(&input.current_replicas)
        && input.current_replicas > 0
        && input.desired_replicas >= 0
}

#[test]
fn a_proposal_is_held_to_what_upstream_holds_it_to() {
    let cases: Vec<Case> = vectors::read("hpa/behavior").unwrap();
    let (mut agreed, mut apart, mut unreachable) = (0, 0, 0);
    for case in &cases {
        if is_apart(case.arch_dependent, &case.tags) {
            apart += 1;
        } else if is_reachable(&case.r#in) {
            check(case);
            agreed += 1;
        } else {
            unreachable += 1;
        }
    }
    println!("behavior: {agreed} agree, {apart} told apart, {unreachable} by the guardrails alone");
    assert!(agreed > 600);
}

fn check(case: &Case) {
    let (record, status) = decide(situation(&case.r#in));
    let id = &case.id;
    assert_eq!(
        record.verdict.proposed,
        Some(case.r#in.desired_replicas.into()),
        "{id}: proposal"
    );
    assert_eq!(record.verdict.to, Some(case.out.replicas), "{id}");
    let limited = case
        .out
        .conditions
        .iter()
        .find(|known| known.r#type == "ScalingLimited")
        .unwrap();
    let known = status
        .conditions
        .iter()
        .find(|known| *known.kind == *"ScalingLimited")
        .unwrap();
    let known = (&*known.status, &*known.reason, &*known.message);
    let limited = (&*limited.status, &*limited.reason, &*limited.message);
    assert_eq!(known, limited, "{id}");
    let stable = case
        .out
        .conditions
        .iter()
        .find(|known| known.r#type == "AbleToScale")
        .unwrap();
    let step = &record.guard_steps[0];
    assert_eq!(
        (&*step.reason, &*step.message),
        (&*stable.reason, &*stable.message),
        "{id}"
    );
}

/// An external metric whose value is the replicas wanted.
fn situation(input: &In) -> Situation {
    let mut memory = ObjectMemory::default();
    memory.recommendations = samples(&input.recommendations, &None);
    let mut changes = ordered(&input.scale_up_events, &input.scale_down_events);
    changes.sort_by_key(|sample| std::cmp::Reverse(sample.ms_ago));
    for sample in changes {
        memory.scaled(Timestamp(NOW.0 - sample.ms_ago), sample.replicas, None);
    }
    let spec: AutoscalerSpec = serde_json::from_value(json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "minReplicas": input.min_replicas,
        "maxReplicas": input.max_replicas,
        "behavior": input.behavior,
        "metrics": [{
            "type": "External",
            "external": {
                "metric": { "name": "wanted" },
                "target": { "type": "AverageValue", "averageValue": "1" },
            },
        }],
    }))
    .unwrap();
    Situation {
        now: NOW,
        options: ReplicaOptions {
            downscale_stabilization_ms: input.downscale_stabilization_seconds * 1000,
            ..ReplicaOptions::default()
        },
        spec,
        scale: Scale {
            spec_replicas: input.current_replicas,
            status_replicas: 1,
            selector: "app=web".into(),
            resource_version: "1".into(),
        },
        pods: Ok([].into()),
        answers: vec![Ok(MetricAnswer::Values(
            [i64::from(input.desired_replicas) * 1000].into(),
        ))],
        memory,
        tolerances: Some((0.0, 0.0)),
    }
}

/// Both lists as one, oldest first, the second with its sign turned.
pub fn samples(positive: &Option<Vec<Sample>>, negative: &Option<Vec<Sample>>) -> Samples {
    let mut all = ordered(positive, negative);
    all.sort_by_key(|sample| std::cmp::Reverse(sample.ms_ago));
    Samples {
        at_ms: all.iter().map(|sample| NOW.0 - sample.ms_ago).collect(),
        replicas: all.iter().map(|sample| sample.replicas).collect(),
    }
}

/// Both lists as one, in upstream's order, the second with its sign turned.
pub fn ordered(positive: &Option<Vec<Sample>>, negative: &Option<Vec<Sample>>) -> Vec<Sample> {
    let positive = positive.iter().flatten().copied();
    let negative = negative.iter().flatten().map(|sample| Sample {
        replicas: -sample.replicas,
        ..*sample
    });
    positive.chain(negative).collect()
}
