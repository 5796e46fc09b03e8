//! Scale-down policies in native code: which pods may be evicted, and half-empty nodes.

use flyball_decision::scale_down::{
    NodeVerdicts, PodVerdicts, node_verdict, pod_state, pod_verdict,
};
use flyball_test_policies::{TestPolicy, scale_down};

/// Returns `drain-rules` and `utilization`.
pub fn all() -> [TestPolicy; 2] {
    [drain_rules(), utilization()]
}

fn drain_rules() -> TestPolicy {
    scale_down("drain-rules").judging_pods(|_, input| {
        let skipped = pod_state::MIRROR
            | pod_state::DAEMON_SET
            | pod_state::TERMINAL
            | pod_state::LONG_TERMINATING;
        let local = pod_state::EMPTY_DIR | pod_state::HOST_PATH;
        let states = input.pods.state.iter();
        let verdict = states.map(|state| match state {
            state if state & skipped != 0 => pod_verdict::SKIP,
            state if state & pod_state::SAFE_TO_EVICT != 0 => pod_verdict::EVICT,
            state if state & pod_state::EVICT_ON_COMPLETION != 0 => pod_verdict::WAIT,
            state if state & (pod_state::NOT_SAFE_TO_EVICT | local) != 0 => pod_verdict::BLOCK,
            _ => pod_verdict::EVICT,
        });
        Ok(PodVerdicts {
            verdict: verdict.collect(),
            ..PodVerdicts::default()
        })
    })
}

/// Nodes may go whose cpu and memory are requested by half at most.
fn utilization() -> TestPolicy {
    scale_down("utilization").judging_nodes(|_, input| {
        let nodes = &input.nodes;
        let is_half = |requested: &[i64], allocatable: &[i64], row: usize| {
            2 * requested[row] <= allocatable[row]
        };
        let rows = 0..nodes.requested_cpu.len();
        let verdict = rows.map(|row| {
            let may_go = is_half(&nodes.requested_cpu, &nodes.allocatable_cpu, row)
                && is_half(&nodes.requested_memory, &nodes.allocatable_memory, row);
            if may_go {
                node_verdict::MAY_GO
            } else {
                node_verdict::MUST_STAY
            }
        });
        Ok(NodeVerdicts {
            verdict: verdict.collect(),
            ..NodeVerdicts::default()
        })
    })
}
