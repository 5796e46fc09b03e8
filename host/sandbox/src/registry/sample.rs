//! Made-up inputs of trial decisions.

use std::sync::Arc;

use flyball_decision::context::GrantedInput;
use flyball_decision::expander::{ExpanderInput, OptionColumns, option_state};
use flyball_decision::policy::Description;
use flyball_decision::replica::{self, MetricInput, ReplicaInput, Target};
use flyball_decision::scale_down::{
    GroupColumns, MoveColumns, NodeColumns, PodColumns, PodNodeColumns, ScaleDownMovesInput,
    ScaleDownNodesInput, ScaleDownPodsInput, group_state, node_state, owner_kind, pod_state,
};
use flyball_decision::time::Timestamp;

/// Returns ten minutes of rising load, no labels of the target, and a label of every
/// second row.
pub(super) fn granted(description: &Description, now: Timestamp) -> Vec<GrantedInput> {
    let history = GrantedInput {
        times_ms: (-9..=0).map(|minute| now.plus(minute * 60_000).0).collect(),
        values: (1..=10).map(|step| f64::from(step) / 10.0).collect(),
        ..GrantedInput::default()
    };
    // More rows than any of the tables below has: policies read those that they need.
    let by_row = GrantedInput {
        texts: vec!["value".into()],
        rows: [0, GrantedInput::NO_TEXT].repeat(4),
        ..GrantedInput::default()
    };
    let grant = |kind: &str| match kind {
        "metric-history" => history.clone(),
        "target-labels" | "target-annotations" => GrantedInput::default(),
        _ => by_row.clone(),
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
    use replica::pod_state::{NOT_READY, PENDING, READY, RUNNING};
    let ready = RUNNING | READY;
    let pods = replica::PodColumns {
        state: vec![ready, ready, PENDING | NOT_READY],
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
        zone: vec![0, 0, -1],
        instance_type: vec![1, 2, -1],
        texts: vec!["zone-a".into(), "small".into(), "large-gpu".into()],
        ..OptionColumns::default()
    };
    ExpanderInput {
        options: Arc::new(options),
        cluster_node_count: Some(3),
    }
}

/// Returns two groups, one of spot instances, with their own settings in part.
fn groups() -> Arc<GroupColumns> {
    Arc::new(GroupColumns {
        name: vec!["small".into(), "spot".into()],
        state: vec![group_state::ON_DEMAND, group_state::SPOT],
        min_size: vec![1, 0],
        max_size: vec![10; 2],
        target_size: vec![2, 1],
        ready_nodes: vec![2, 1],
        node_price: vec![Some(0.1), None],
        price: vec![Some(0.2), None],
        cost: vec![Some(3.0), None],
        utilization_threshold: vec![None, Some(0.7)],
        gpu_utilization_threshold: vec![None; 2],
        unneeded_time_ms: vec![-1, 300_000],
        unready_time_ms: vec![-1; 2],
        ignore_daemon_sets: vec![-1, 1],
    })
}

/// Returns five pods of two nodes: of a ReplicaSet, of a DaemonSet, of a StatefulSet
/// with a budget that allows nothing, one without an owner, and a mirror pod.
pub(super) fn pods(now: Timestamp) -> ScaleDownPodsInput {
    let hour_ago = now.plus(-3_600_000).0;
    let known = pod_state::READY | pod_state::OWNER_LOOKED_UP | pod_state::OWNER_EXISTS;
    let pods = PodColumns {
        node: vec![0, 0, 1, 1, 1],
        namespace: vec![0, 1, 0, 0, 1],
        state: vec![
            known,
            known | pod_state::DAEMON_SET,
            known | pod_state::EMPTY_DIR,
            pod_state::READY | pod_state::NOT_SAFE_TO_EVICT,
            pod_state::READY | pod_state::MIRROR,
        ],
        owner_kind: vec![
            owner_kind::REPLICA_SET,
            owner_kind::DAEMON_SET,
            owner_kind::STATEFUL_SET,
            owner_kind::NONE,
            owner_kind::NONE,
        ],
        owner_replicas: vec![3, -1, 1, -1, -1],
        priority: vec![0, 2_000_001_000, 0, 0, 2_000_001_000],
        deletion_cost: vec![0; 5],
        cpu: vec![500; 5],
        memory: vec![1 << 29; 5],
        gpu: vec![0; 5],
        created_ms: vec![hour_ago; 5],
        deletion_ms: vec![-1; 5],
        grace_ms: vec![30_000; 5],
        budgets: vec![0, 0, 1, 0, 0],
        disruptions_allowed: vec![-1, -1, 0, -1, -1],
        texts: vec!["default".into(), "kube-system".into()],
    };
    let nodes = PodNodeColumns {
        group: vec![0, 1],
        zone: vec![0, -1],
        instance_type: vec![1, -1],
        created_ms: vec![hour_ago; 2],
        price: vec![Some(0.1), None],
        texts: vec!["zone-a".into(), "small".into()],
    };
    ScaleDownPodsInput {
        groups: groups(),
        nodes: Arc::new(nodes),
        pods: Arc::new(pods),
    }
}

/// Returns three nodes: one with little on it, one that is full, and one for GPUs that is
/// empty and not ready.
pub(super) fn nodes(now: Timestamp) -> ScaleDownNodesInput {
    ScaleDownNodesInput {
        groups: groups(),
        nodes: Arc::new(node_columns(now)),
    }
}

fn node_columns(now: Timestamp) -> NodeColumns {
    const GIB: i64 = 1 << 30;
    let hour_ago = now.plus(-3_600_000).0;
    NodeColumns {
        group: vec![0, 0, 1],
        zone: vec![0, 0, -1],
        instance_type: vec![1, 1, -1],
        state: vec![
            node_state::READY | node_state::ON_DEMAND,
            node_state::READY | node_state::ON_DEMAND,
            node_state::EMPTY | node_state::GPU | node_state::SPOT,
        ],
        created_ms: vec![hour_ago; 3],
        unready_since_ms: vec![-1, -1, hour_ago],
        pods_changed_ms: vec![hour_ago; 3],
        unneeded_since_ms: vec![now.plus(-600_000).0, -1, hour_ago],
        allocatable_cpu: vec![1_900; 3],
        allocatable_memory: vec![7 * GIB; 3],
        allocatable_gpu: vec![-1, -1, 0],
        requested_cpu: vec![300, 1_800, 100],
        requested_memory: vec![GIB, 6 * GIB, 0],
        requested_gpu: vec![0; 3],
        daemon_set_cpu: vec![100; 3],
        daemon_set_memory: vec![0; 3],
        daemon_set_gpu: vec![0; 3],
        mirror_cpu: vec![0; 3],
        mirror_memory: vec![0; 3],
        mirror_gpu: vec![0; 3],
        price: vec![Some(0.1), Some(0.1), None],
        pod_count: vec![1, 9, 0],
        cost: vec![1.0, 9.0, 0.0],
        texts: vec!["zone-a".into(), "small".into()],
    }
}

/// Returns two moves: a plain removal, and one node for two.
pub(super) fn moves(now: Timestamp) -> ScaleDownMovesInput {
    let hour_ago = now.plus(-3_600_000).0;
    let moves = MoveColumns {
        leaving_end: vec![1, 3],
        leaving_node: vec![2, 0, 1],
        coming_end: vec![0, 1],
        coming_group: vec![1],
        coming_count: vec![1],
        pod_count: vec![0, 10],
        cost: vec![0.0, 10.0],
        youngest_pod_ms: vec![-1, hour_ago],
        highest_priority: vec![0, 1_000],
        exhausted_budgets: vec![0, 1],
        price_before: vec![None, Some(0.2)],
        price_after: vec![Some(0.0), Some(0.05)],
    };
    ScaleDownMovesInput {
        groups: groups(),
        nodes: Arc::new(node_columns(now)),
        moves: Arc::new(moves),
    }
}
