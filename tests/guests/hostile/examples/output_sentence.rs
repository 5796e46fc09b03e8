//! Gives a reason of 32 MB.

use hostile::{Context, Decision, Error, Input, Policy, decision, reason};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(Decision {
            reason: reason(&"x".repeat(32 << 20)),
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
