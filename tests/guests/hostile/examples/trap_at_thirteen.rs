//! Behaves until there are thirteen replicas: no canary can see it coming.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, input: Input) -> Result<Decision, Error> {
        assert_ne!(input.current_replicas, 13, "thirteen is one too many");
        Ok(decision(Some(3)))
    }
}

hostile::export!(Guest);
