//! Gives a reason of 2 MB, which fits into its memory.

use hostile::{Context, Decision, Error, Input, Policy, decision, reason};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(Decision {
            reason: reason(&"x".repeat(2 << 20)),
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
