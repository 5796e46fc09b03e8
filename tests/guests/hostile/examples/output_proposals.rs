//! Answers with eleven hundred proposals of a kilobyte each, which fit into its
//! memory.

use hostile::{Context, Decision, Error, Input, Policy, Proposal, decision, proposal, reason};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        let one = Proposal {
            reason: reason(&"x".repeat(1_000)),
            ..proposal(3)
        };
        Ok(Decision {
            proposals: vec![one; 1_100],
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
