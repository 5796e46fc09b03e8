//! Gives a reason of 1.5 MB, which fits into its memory.

use hostile::{Context, Decision, Error, Input, Policy, decision, reason};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(Decision {
            reason: reason(&"x".repeat(3 << 19)),
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
