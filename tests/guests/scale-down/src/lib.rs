//! What the hostile scale-down policies share: bindings to the contract, and all but the
//! verdicts of a policy. Each guest in `examples/` says only where it misbehaves.

#![allow(
    missing_docs,
    reason = "generated bindings carry the contract's documents"
)]

pub use exports::flyball::policy::description::Description;
pub use exports::flyball::policy::{scale_down_moves, scale_down_nodes, scale_down_pods};
pub use flyball::policy::types::{Context, Error, Reason};

wit_bindgen::generate!({
    path: "../../../wit/draft",
    world: "scale-down-policy",
    pub_export_macro: true,
    export_macro_name: "export_scale_down_policy",
    default_bindings_module: "scale_down",
});

/// A description without fault.
pub fn description() -> Description {
    Description {
        name: "hostile".into(),
        version: "1.0.0".into(),
        summary: "misbehaves".into(),
        kinds: vec!["scale-down".into()],
        configuration_schema: String::new(),
        state_version: 1,
        wants: Vec::new(),
    }
}

/// The answers to all three questions, with which each guest begins.
pub struct Answers {
    /// One in favour for each row, or whatever the guest makes of it.
    pub verdict: Vec<u32>,
    /// Rows of `reasons`.
    pub reason: Vec<i32>,
    /// Scores of nodes and moves.
    pub score: Vec<f64>,
    /// Costs of pods.
    pub cost: Vec<f64>,
    /// The reasons.
    pub reasons: Vec<Reason>,
}

/// Answers without fault for so many rows.
pub fn answers(rows: usize) -> Answers {
    Answers {
        verdict: vec![1; rows],
        reason: vec![0; rows],
        score: vec![0.0; rows],
        cost: vec![0.0; rows],
        reasons: vec![reason("took what it pleased")],
    }
}

/// A reason with this sentence.
pub fn reason(sentence: &str) -> Reason {
    Reason {
        code: "Hostile".into(),
        arguments: Vec::new(),
        sentence: sentence.into(),
    }
}

/// Exports a policy that answers all three questions so. The trial of a new policy has
/// fewer than eight rows; `judge` is asked about eight or more only.
#[macro_export]
macro_rules! hostile {
    ($judge:path) => {
        struct Guest;

        fn judged(rows: usize) -> $crate::Answers {
            if rows < 8 {
                $crate::answers(rows)
            } else {
                $judge(rows)
            }
        }

        impl $crate::exports::flyball::policy::description::Guest for Guest {
            fn describe() -> $crate::Description {
                $crate::description()
            }
        }

        impl $crate::scale_down_pods::Guest for Guest {
            fn judge(
                _: $crate::Context,
                input: $crate::scale_down_pods::Input,
            ) -> Result<$crate::scale_down_pods::Verdicts, $crate::Error> {
                let answers = judged(input.pods.node.len());
                Ok($crate::scale_down_pods::Verdicts {
                    verdict: answers.verdict,
                    reason: answers.reason,
                    cost: answers.cost,
                    until_ms: Vec::new(),
                    reasons: answers.reasons,
                })
            }
        }

        impl $crate::scale_down_nodes::Guest for Guest {
            fn judge(
                _: $crate::Context,
                input: $crate::scale_down_nodes::Input,
            ) -> Result<$crate::scale_down_nodes::Verdicts, $crate::Error> {
                let answers = judged(input.nodes.group.len());
                Ok($crate::scale_down_nodes::Verdicts {
                    verdict: answers.verdict,
                    reason: answers.reason,
                    score: answers.score,
                    unneeded_ms: Vec::new(),
                    until_ms: Vec::new(),
                    reasons: answers.reasons,
                })
            }
        }

        impl $crate::scale_down_moves::Guest for Guest {
            fn judge(
                _: $crate::Context,
                input: $crate::scale_down_moves::Input,
            ) -> Result<$crate::scale_down_moves::Verdicts, $crate::Error> {
                let answers = judged(input.moves.leaving_end.len());
                Ok($crate::scale_down_moves::Verdicts {
                    verdict: answers.verdict,
                    reason: answers.reason,
                    score: answers.score,
                    reasons: answers.reasons,
                    state: None,
                    again_after_ms: None,
                })
            }
        }

        $crate::export_scale_down_policy!(Guest);
    };
}
