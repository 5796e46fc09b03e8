//! Asks for two replicas, and keeps a state of version 1.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct KeepsState;

impl Policy for KeepsState {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(Decision {
            state: Some("first".into()),
            ..decision(Some(2))
        })
    }
}

hostile::export!(KeepsState);
