//! An expander without sandbox.

use std::cmp::Reverse;
use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, ExpanderRanking, OptionColumns};
use flyball_decision::policy::{
    Budget, Description, ExpanderPolicy, Policy, PolicyEngine, PolicyFailure, PolicyOutcome,
    PolicyVersion, ReplicaPolicy, Usage,
};

/// Policy engine that returns, for any name, an expander that chooses in this process
/// like the built-in `most-pods`, `least-nodes` and `least-waste` one after the other.
#[derive(Clone, Debug)]
pub struct FewestNodes {
    version: Arc<PolicyVersion>,
    description: Description,
}

impl Default for FewestNodes {
    fn default() -> Self {
        let version = PolicyVersion {
            name: "fewest-nodes".into(),
            digest: "sha256:fewest-nodes".into(),
            contract: "test".into(),
            version: "1".into(),
            state_version: 0,
        };
        Self {
            version: Arc::new(version),
            description: Description::default(),
        }
    }
}

impl Policy for FewestNodes {
    fn version(&self) -> &Arc<PolicyVersion> {
        &self.version
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn budget(&self) -> Budget {
        Budget {
            fuel_base: 0,
            fuel_per_row: 0,
            memory_bytes: 0,
            time_ms: 0,
        }
    }
}

impl ExpanderPolicy for FewestNodes {
    fn rank(&self, _: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
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
        PolicyOutcome {
            usage: Usage::default(),
            answer: Ok(ExpanderRanking {
                best: rows.filter_map(|row| u32::try_from(row).ok()).collect(),
                ..ExpanderRanking::default()
            }),
            log: Vec::new(),
        }
    }
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

impl PolicyEngine for FewestNodes {
    fn replica_policy(&self, name: &str) -> Result<Arc<dyn ReplicaPolicy>, PolicyFailure> {
        Err(PolicyFailure::Missing(name.to_owned()))
    }

    fn replica_fallback(&self, _: &str) -> Option<Arc<dyn ReplicaPolicy>> {
        None
    }

    fn expander_policy(&self, _: &str) -> Result<Arc<dyn ExpanderPolicy>, PolicyFailure> {
        Ok(Arc::new(self.clone()))
    }
}
