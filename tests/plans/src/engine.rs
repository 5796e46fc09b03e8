//! Policies without sandbox.

use std::cmp::Reverse;

use flyball_decision::expander::OptionColumns;
use flyball_decision::policy::DEFAULT_EXPANDER;
use flyball_decision::scale_down::{NodeVerdicts, PodVerdicts, node_verdict, pod_verdict};
use flyball_test_policies::{TestEngine, expander, scale_down};

/// Name of the policy of [`everything_may_go`].
pub const EVERYTHING_MAY_GO: &str = "everything-may-go";

/// Returns an engine whose only scale-down policy has nothing against any eviction and any
/// removal.
#[must_use]
pub fn everything_may_go() -> TestEngine {
    let judge = scale_down(EVERYTHING_MAY_GO)
        .judging_pods(|_, input| {
            Ok(PodVerdicts {
                verdict: vec![pod_verdict::EVICT; input.pods.len()],
                ..PodVerdicts::default()
            })
        })
        .judging_nodes(|_, input| {
            Ok(NodeVerdicts {
                verdict: vec![node_verdict::MAY_GO; input.nodes.len()],
                ..NodeVerdicts::default()
            })
        });
    let engine = TestEngine::default();
    engine.scale_downs.insert(judge.resolve());
    engine
}

/// Returns an engine whose default expander, its only one, chooses like the built-in
/// `most-pods`, `least-nodes` and `least-waste` one after the other.
#[must_use]
pub fn fewest_nodes() -> TestEngine {
    let chooses = expander(DEFAULT_EXPANDER, |input| {
        let options = &input.options;
        let worth = |row: &usize| {
            (
                Reverse(options.pod_count[*row]),
                options.node_count[*row],
                wasted(options, *row),
            )
        };
        let best = (0..options.len()).map(|row| worth(&row)).min();
        let rows = (0..options.len()).filter(|row| Some(worth(row)) == best);
        Ok(rows.filter_map(|row| u32::try_from(row).ok()).collect())
    });
    let engine = TestEngine::default();
    engine.expanders.insert(chooses.resolve());
    engine
}

/// Returns the part of the new nodes' cpu and memory that no pod requests, in millionths.
fn wasted(options: &OptionColumns, row: usize) -> i128 {
    let nodes = i128::from(options.node_count[row]);
    let part = |capacity: i64, requested: i64| {
        let whole = (i128::from(capacity) * nodes).max(1);
        (whole - i128::from(requested)) * 1_000_000 / whole
    };
    part(options.capacity_cpu[row], options.requested_cpu[row])
        + part(options.capacity_memory[row], options.requested_memory[row])
}
