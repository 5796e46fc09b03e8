//! The last checks before code may decide: the configurations in use, and a
//! decision for trial with each of them.

use std::sync::Arc;

use flyball_core::policy::{Description, Policy as _, ReplicaPolicy as _};
use flyball_core::replica::{
    Context, GrantedInput, MetricInput, PodColumns, ReplicaInput, Target, pod_state,
};
use flyball_core::time::Timestamp;

use crate::error::LoadError;
use crate::policy::CompiledPolicy;

const NOW: Timestamp = Timestamp(1_767_225_600_000);
const NO_CONFIGURATION: &str = "{}";

/// Checks code against the configurations that objects use. One that does not fit
/// is a fault only if it fits what the code would replace: else nothing gets worse,
/// and the object at fault is refused on its own. A typed error in the trial is no
/// fault: the input is made up.
pub(super) fn admit(
    policy: &CompiledPolicy,
    replaced: Option<&CompiledPolicy>,
    in_use: &[Arc<str>],
) -> Result<(), LoadError> {
    let mut fitting = Vec::new();
    for configuration in in_use {
        let fits = |policy: &CompiledPolicy| policy.check_configuration_text(configuration);
        match fits(policy) {
            Ok(()) => fitting.push(Arc::clone(configuration)),
            Err(error) if replaced.is_some_and(|replaced| fits(replaced).is_ok()) => {
                return Err(LoadError::Configuration(error));
            }
            Err(_) => {}
        }
    }
    // Without users the empty configuration stands in, if the schema has it.
    if fitting.is_empty() && policy.check_configuration_text(NO_CONFIGURATION).is_ok() {
        fitting.push(NO_CONFIGURATION.into());
    }
    fitting
        .iter()
        .try_for_each(|configuration| trial(policy, configuration))
}

fn trial(policy: &CompiledPolicy, configuration: &Arc<str>) -> Result<(), LoadError> {
    let context = Context {
        now: NOW,
        seed: 1,
        configuration: Arc::clone(configuration),
        state: "".into(),
        inputs: granted(policy.description()),
    };
    let outcome = policy.decide(&context, &input());
    match outcome.answer {
        Err(failure) if failure.is_misbehaviour() => {
            // A panic's message is among them.
            for (_, line) in &outcome.log {
                tracing::warn!(policy = %policy.version().name, "canary decision: {line}");
            }
            Err(LoadError::Canary {
                configuration: configuration.to_string(),
                failure,
            })
        }
        _ => Ok(()),
    }
}

/// Ten minutes of rising load, no labels.
fn granted(description: &Description) -> Vec<GrantedInput> {
    let history = GrantedInput {
        times_ms: (-9..=0).map(|minute| NOW.plus(minute * 60_000).0).collect(),
        values: (1..=10).map(|step| f64::from(step) / 10.0).collect(),
        ..GrantedInput::default()
    };
    let grant = |kind: &str| match kind {
        "metric-history" => history.clone(),
        _ => GrantedInput::default(),
    };
    description
        .wants
        .iter()
        .map(|wanted| grant(&wanted.kind))
        .collect()
}

/// Three pods, one of them starting, at 90% of their request with 60% wanted.
fn input() -> ReplicaInput {
    let ready = pod_state::RUNNING | pod_state::READY;
    let pods = PodColumns {
        state: vec![ready, ready, pod_state::PENDING | pod_state::NOT_READY],
        ready_transition_ms: vec![NOW.plus(-3_600_000).0; 3],
        start_ms: vec![NOW.plus(-3_600_000).0, NOW.plus(-3_600_000).0, NOW.0],
        deletion_ms: vec![Timestamp::UNKNOWN; 3],
    };
    let metric = MetricInput {
        source: "Resource".into(),
        name: "cpu".into(),
        target_type: "Utilization".into(),
        target_average_utilization: Some(60),
        pod: vec![0, 1],
        value: vec![450, 450],
        timestamp_ms: vec![NOW.plus(-15_000).0; 2],
        window_ms: vec![15_000; 2],
        request: vec![500; 3],
        ..MetricInput::default()
    };
    ReplicaInput {
        target: Arc::new(Target {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: "default".into(),
            name: "canary".into(),
        }),
        min_replicas: 1,
        max_replicas: 10,
        current_replicas: 3,
        status_replicas: 3,
        ready_replicas: 2,
        tolerance_up: 0.1,
        tolerance_down: 0.1,
        cpu_initialization_period_ms: 300_000,
        initial_readiness_delay_ms: 30_000,
        pods: Arc::new(pods),
        metrics: vec![Arc::new(metric)],
        ..ReplicaInput::default()
    }
}
