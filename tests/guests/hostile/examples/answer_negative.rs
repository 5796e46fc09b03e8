//! Asks for fewer replicas than none.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(decision(Some(-5)))
    }
}

hostile::export!(Guest);
