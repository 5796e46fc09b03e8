//! Answers with twelve thousand proposals, which fit into its memory.

use hostile::{Context, Decision, Error, Input, Policy, decision, proposal};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(Decision {
            proposals: vec![proposal(3); 12_000],
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
