//! What the hostile expanders share: bindings to the contract, and all but the ranking
//! of a policy. Each guest in `examples/` says only where it misbehaves.

#![allow(
    missing_docs,
    reason = "generated bindings carry the contract's documents"
)]

pub use exports::flyball::policy::description::Description;
pub use exports::flyball::policy::expander::{Context, Input, Ranking};
pub use flyball::policy::types::{Error, Reason};

wit_bindgen::generate!({
    path: "../../../wit/draft",
    world: "expander-policy",
    pub_export_macro: true,
    export_macro_name: "export_expander_policy",
    default_bindings_module: "expanders",
});

/// A description without fault.
pub fn description() -> Description {
    Description {
        name: "hostile".into(),
        version: "1.0.0".into(),
        summary: "misbehaves".into(),
        kinds: vec!["expander".into()],
        configuration_schema: String::new(),
        state_version: 1,
        wants: Vec::new(),
    }
}

/// A ranking with these rows and scores.
pub fn ranking(best: Vec<u32>, scores: Vec<f64>) -> Ranking {
    Ranking {
        best,
        scores,
        reason: Reason {
            code: "Hostile".into(),
            arguments: Vec::new(),
            sentence: "took what it pleased".into(),
        },
        state: None,
    }
}

/// Exports an expander that ranks so.
#[macro_export]
macro_rules! expander {
    ($rank:path) => {
        struct Guest;

        impl $crate::exports::flyball::policy::description::Guest for Guest {
            fn describe() -> $crate::Description {
                $crate::description()
            }
        }

        impl $crate::exports::flyball::policy::expander::Guest for Guest {
            fn rank(
                _: $crate::Context,
                input: $crate::Input,
            ) -> Result<$crate::Ranking, $crate::Error> {
                Ok($rank(&input))
            }
        }

        $crate::export_expander_policy!(Guest);
    };
}
