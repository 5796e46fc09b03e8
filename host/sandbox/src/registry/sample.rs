//! Made-up inputs of trial decisions.

use std::sync::Arc;

use flyball_decision::context::GrantedInput;
use flyball_decision::expander::{ExpanderInput, OptionColumns, option_state};
use flyball_decision::policy::Description;
use flyball_decision::replica::{MetricInput, PodColumns, ReplicaInput, Target, pod_state};
use flyball_decision::time::Timestamp;

/// Returns ten minutes of rising load, and no labels.
pub(super) fn granted(description: &Description, now: Timestamp) -> Vec<GrantedInput> {
    let history = GrantedInput {
        times_ms: (-9..=0).map(|minute| now.plus(minute * 60_000).0).collect(),
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

/// Returns three pods, one of them starting, at 90% of their request with a target of
/// 60%.
pub(super) fn replica(now: Timestamp) -> ReplicaInput {
    let ready = pod_state::RUNNING | pod_state::READY;
    let pods = PodColumns {
        state: vec![ready, ready, pod_state::PENDING | pod_state::NOT_READY],
        ready_transition_ms: vec![now.plus(-3_600_000).0; 3],
        start_ms: vec![now.plus(-3_600_000).0, now.plus(-3_600_000).0, now.0],
        deletion_ms: vec![Timestamp::UNKNOWN; 3],
    };
    let metric = MetricInput {
        source: "Resource".into(),
        name: "cpu".into(),
        target_type: "Utilization".into(),
        target_average_utilization: Some(60),
        pod: vec![0, 1],
        value: vec![450, 450],
        timestamp_ms: vec![now.plus(-15_000).0; 2],
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

/// Returns options for two pending pods: two small nodes, one large one with a GPU, or a
/// node of a group that does not exist yet and of which nothing is known.
pub(super) fn expander() -> ExpanderInput {
    const GIB: i64 = 1 << 30;
    let known = option_state::EXISTS | option_state::HAS_TEMPLATE;
    let options = OptionColumns {
        node_group: vec!["small".into(), "large-gpu".into(), "new".into()],
        state: vec![known, known | option_state::HAS_GPU, 0],
        node_count: vec![2, 1, 1],
        pod_count: vec![2; 3],
        requested_cpu: vec![3_000; 3],
        requested_memory: vec![6 * GIB; 3],
        requested_gpu: vec![0; 3],
        capacity_cpu: vec![2_000, 16_000, 0],
        capacity_memory: vec![8 * GIB, 64 * GIB, 0],
        capacity_gpu: vec![0, 1_000, 0],
        allocatable_cpu: vec![1_900, 15_800, 0],
        allocatable_memory: vec![7 * GIB, 60 * GIB, 0],
        allocatable_gpu: vec![0, 1_000, 0],
        node_price: vec![Some(0.1), Some(1.5), None],
        pod_price: vec![Some(0.15), Some(0.15), None],
        current_size: vec![3, 0, 0],
        min_size: vec![1, 0, 0],
        max_size: vec![10, 4, 5],
        ..OptionColumns::default()
    };
    ExpanderInput {
        options: Arc::new(options),
        cluster_node_count: Some(3),
    }
}
