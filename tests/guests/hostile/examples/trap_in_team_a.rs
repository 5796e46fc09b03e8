//! Panics for the objects of one namespace, `team-a`, and for no other.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, input: Input) -> Result<Decision, Error> {
        assert_ne!(input.target.namespace, "team-a", "not for team-a");
        Ok(decision(Some(3)))
    }
}

hostile::export!(Guest);
