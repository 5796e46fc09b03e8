//! Scale-down policies in native code: which pods may be evicted, and half-empty nodes.

use flyball_decision::scale_down::{
    MoveVerdicts, NodeVerdicts, PodVerdicts, move_verdict, node_state, node_verdict, pod_state,
    pod_verdict,
};
use flyball_test_policies::{TestPolicy, scale_down};

/// Returns `drain-rules`, `utilization`, `quiet-hours` and `consolidate`.
pub fn all() -> [TestPolicy; 4] {
    [drain_rules(), utilization(), quiet_hours(), consolidate()]
}

/// Moves that save a twentieth of the price are made, the largest saving first.
fn consolidate() -> TestPolicy {
    scale_down("consolidate").judging_moves(|_, input| {
        let prices = input
            .moves
            .price_before
            .iter()
            .zip(&input.moves.price_after);
        let shares = prices.map(|(before, after)| Some(((*before)?, (*before)? - (*after)?)));
        let saving: Vec<(f64, f64)> = shares.map(|share| share.unwrap_or((1.0, 0.0))).collect();
        let verdict = saving
            .iter()
            .map(|(before, saving)| match saving / before >= 0.05 {
                true => move_verdict::TAKE,
                false => move_verdict::LEAVE,
            });
        Ok(MoveVerdicts {
            verdict: verdict.collect(),
            score: saving.iter().map(|(_, saving)| -saving).collect(),
            ..MoveVerdicts::default()
        })
    })
}

/// No node with pods goes from 8 to 18 o'clock; verdicts hold until then.
fn quiet_hours() -> TestPolicy {
    const HOUR_MS: i64 = 3_600_000;
    scale_down("quiet-hours").judging_nodes(|context, input| {
        let midnight = context.now.0 - context.now.0.rem_euclid(24 * HOUR_MS);
        let hours = [8, 18, 32].map(|hour| midnight + hour * HOUR_MS);
        let next = hours.iter().position(|change| *change > context.now.0);
        let next = next.unwrap_or_default();
        let states = input.nodes.state.iter();
        let verdict = states.map(|state| match state & node_state::EMPTY == 0 && next == 1 {
            true => node_verdict::MUST_STAY,
            false => node_verdict::NO_OPINION,
        });
        Ok(NodeVerdicts {
            verdict: verdict.collect(),
            until_ms: vec![hours[next]; input.nodes.state.len()],
            ..NodeVerdicts::default()
        })
    })
}

/// Returns a later version of `utilization` that keeps all nodes.
pub fn keeps_all() -> TestPolicy {
    let keeps = scale_down("utilization").judging_nodes(|_, input| {
        Ok(NodeVerdicts {
            verdict: vec![node_verdict::MUST_STAY; input.nodes.requested_cpu.len()],
            ..NodeVerdicts::default()
        })
    });
    keeps.digest("keeps")
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
