//! Gives a reason that nobody will read to its end.

use hostile::{Context, Decision, Error, Input, Policy, decision, reason};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(Decision {
            reason: reason(&"and so on ".repeat(1_000)),
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
