//! Asks for the largest number there is.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(decision(Some(i64::MAX)))
    }
}

hostile::export!(Guest);
