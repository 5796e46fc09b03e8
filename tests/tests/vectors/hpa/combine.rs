//! Several metrics, some failing → one proposal, condition, statuses, events.

use std::sync::Arc;

use flyball_decision::quantity::Milli;
use flyball_replicas::memory::ObjectMemory;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::pods::Pod;
use flyball_replicas::ports::ObservationError;
use flyball_replicas::record::DecisionRecord;
use flyball_replicas::selector::Selector;
use flyball_replicas::status::AutoscalerStatus;
use flyball_test_support::vectors;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hpa::decide::{Situation, decide};
use crate::hpa::forms::{self, AnswerCase, ConditionCase, PodCase, ScaleCase, time};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    tags: Vec<String>,
    r#in: In,
    out: Out,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct In {
    now: String,
    tolerance: f64,
    cpu_initialization_seconds: i64,
    initial_readiness_delay_seconds: i64,
    scale: ScaleCase,
    #[serde(rename = "otherHPAs")]
    other_hpas: Option<Vec<OtherHpa>>,
    behavior: Option<Value>,
    metrics: Vec<Value>,
    answers: Vec<AnswerCase>,
    pods: Option<Vec<PodCase>>,
}

#[derive(Deserialize)]
struct OtherHpa {
    selector: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Out {
    replicas: i64,
    error_class: Option<String>,
    proposals: Option<Vec<ProposalCase>>,
    conditions: Option<Vec<ConditionCase>>,
    metric_statuses: Option<Vec<Value>>,
    tolerance_up: f64,
    tolerance_down: f64,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProposalCase {
    replicas: Option<i64>,
    error_class: Option<String>,
}

#[test]
fn metrics_are_combined_as_upstream_combines_them() {
    let cases: Vec<Case> = vectors::read("hpa/combine").unwrap();
    let mut agreed = 0;
    let mut differing = Vec::new();
    for case in &cases {
        let (record, status) = run(case);
        match check(case, &record, &status) {
            Ok(()) => agreed += 1,
            Err(difference) => differing.push(format!("{} {:?}: {difference}", case.id, case.tags)),
        }
    }
    println!("combine: {agreed} agree, {} differ", differing.len());
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(agreed > 200);
}

fn run(case: &Case) -> (DecisionRecord, AutoscalerStatus) {
    let input = &case.r#in;
    let scale = input.scale.scale();
    let pods = forms::pods(&input.pods);
    let spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "maxReplicas": i32::MAX,
        "metrics": input.metrics,
        "behavior": input.behavior,
    });
    decide(Situation {
        now: time(&input.now),
        options: ReplicaOptions {
            tolerance: input.tolerance,
            cpu_initialization_period_ms: input.cpu_initialization_seconds * 1000,
            initial_readiness_delay_ms: input.initial_readiness_delay_seconds * 1000,
            ..ReplicaOptions::default()
        },
        spec: serde_json::from_value(spec).unwrap(),
        pods: selected(&scale.selector, input, pods),
        scale,
        answers: input.answers.iter().map(AnswerCase::answer).collect(),
        memory: ObjectMemory::default(),
        tolerances: None,
    })
}

/// What a reader makes of the scale's selector: the pods it matches, all of them
/// labelled `app=web`, if no other autoscaler's selector matches one of them. The classes
/// `invalidSelector` and `ambiguousSelector` are thus worked out here, and the cases hold
/// what the loop makes of them; that the real reader tells them is held by the tests of
/// `host/kubernetes`, on a real control plane.
fn selected(text: &str, input: &In, pods: Arc<[Pod]>) -> Result<Arc<[Pod]>, ObservationError> {
    let error = |class, message| Err(ObservationError { class, message });
    let label = |key: &str| (key == "app").then_some("web");
    let selector = match Selector::parse(text) {
        Ok(selector) => selector,
        Err(invalid) => return error("invalidSelector", invalid.to_string()),
    };
    let pods: Arc<[Pod]> = if selector.matches(label) {
        pods
    } else {
        [].into()
    };
    let others = input.other_hpas.iter().flatten();
    let rival = |other: &OtherHpa| Selector::parse(&other.selector).is_ok_and(|s| s.matches(label));
    if !pods.is_empty() && others.into_iter().any(rival) {
        let message = format!("pods by selector {text} are controlled by multiple HPAs: *");
        return error("ambiguousSelector", message);
    }
    Ok(pods)
}

fn check(case: &Case, record: &DecisionRecord, status: &AutoscalerStatus) -> Result<(), String> {
    let out = &case.out;
    let same = |what: &str, ours: String, upstreams: String| {
        let differs = || format!("{what}: {ours}, upstream {upstreams}");
        if ours == upstreams {
            Ok(())
        } else {
            Err(differs())
        }
    };
    let replicas = record.verdict.proposed.unwrap_or(-1);
    same("replicas", replicas.to_string(), out.replicas.to_string())?;
    let class = class(record);
    same(
        "class",
        format!("{class:?}"),
        format!("{:?}", out.error_class),
    )?;
    if let Some(input) = &record.input {
        let ours = (input.tolerance_up, input.tolerance_down);
        same(
            "tolerances",
            format!("{ours:?}"),
            format!("{:?}", (out.tolerance_up, out.tolerance_down)),
        )?;
    }
    let proposals = proposals(record);
    same(
        "proposals",
        format!("{proposals:?}"),
        format!("{:?}", out.proposals.as_deref().unwrap_or_default()),
    )?;
    for expected in out.conditions.iter().flatten() {
        let known = status
            .conditions
            .iter()
            .find(|known| *known.kind == *expected.r#type);
        // Of a selector ours says what to write.
        let of_selector = expected.message.contains("selector");
        let told = |message| if of_selector { "" } else { message };
        let known = known.map(|known| (&*known.status, &*known.reason, told(&known.message)));
        let expected = (
            &*expected.status,
            &*expected.reason,
            told(&expected.message),
        );
        let expected = Some(expected);
        same("condition", format!("{known:?}"), format!("{expected:?}"))?;
    }
    let statuses: Vec<_> = status.current_metrics.iter().map(reported).collect();
    let upstreams = upstream_reported(&out.metric_statuses, &case.r#in.answers);
    same(
        "statuses",
        format!("{statuses:?}"),
        format!("{upstreams:?}"),
    )
}

fn class(record: &DecisionRecord) -> Option<String> {
    let Some(policy) = record.policies.first() else {
        let selector = record.events.first().map(|event| event.reason.as_str());
        return selector.map(|reason| reason[..1].to_lowercase() + &reason[1..]);
    };
    let Ok(decision) = &policy.answer else {
        return None;
    };
    let mut failed = decision
        .proposals
        .iter()
        .filter(|proposal| !proposal.error.is_empty());
    failed.next().map(|proposal| proposal.error.clone())
}

fn proposals(record: &DecisionRecord) -> Vec<ProposalCase> {
    let Some(Ok(decision)) = record.policies.first().map(|policy| &policy.answer) else {
        return Vec::new();
    };
    let proposal = |proposal: &flyball_decision::replica::Proposal| ProposalCase {
        replicas: proposal.replicas,
        error_class: Some(proposal.error.clone()).filter(|class| !class.is_empty()),
    };
    decision.proposals.iter().map(proposal).collect()
}

/// Source, utilization, average and value.
type Reported = (String, Option<i64>, Option<i64>, Option<i64>);

fn reported(status: &flyball_replicas::status::MetricStatus) -> Reported {
    (
        status.source.clone(),
        status.utilization,
        status.average,
        status.value,
    )
}

/// What amd64 makes of a float that no integer holds, as upstream reports it.
const NO_INTEGER: &str = "-9223372036854775808m";

/// What upstream reports of the metrics that were answered so; saturated where it has
/// [`NO_INTEGER`].
pub fn upstream_reported(statuses: &Option<Vec<Value>>, answers: &[AnswerCase]) -> Vec<Reported> {
    let statuses = statuses.iter().flatten().enumerate();
    let reported = statuses.map(|(row, status)| {
        let total = answers.get(row).map_or(0, AnswerCase::total);
        upstream_status(status, total)
    });
    reported.collect()
}

fn upstream_status(status: &Value, total: i128) -> Reported {
    let source = status["type"].as_str().unwrap_or_default();
    let field = match source {
        "" => return (String::new(), None, None, None),
        "ContainerResource" => "containerResource".to_owned(),
        source => source.to_lowercase(),
    };
    let current = &status[field]["current"];
    let milli = |name: &str| match current[name].as_str()? {
        NO_INTEGER => Some(forms::average_over_none(total)),
        text => Some(Milli::parse(text).unwrap().0),
    };
    let utilization = current["averageUtilization"].as_i64();
    (
        source.to_owned(),
        utilization,
        milli("averageValue"),
        milli("value"),
    )
}
