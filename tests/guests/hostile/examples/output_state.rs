//! Wants more than its kibibyte of state to be kept.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(Decision {
            state: Some("x".repeat(769)),
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
