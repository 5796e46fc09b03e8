//! Gives a reason of 4 MB, which fits into its memory.

use hostile::{Context, Decision, Error, Input, Policy, decision, reason};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(Decision {
            reason: reason(&"x".repeat(4 << 20)),
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
