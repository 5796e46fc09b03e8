//! Asks for 2^31 replicas.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(decision(Some(1 << 31)))
    }
}

hostile::export!(Guest);
