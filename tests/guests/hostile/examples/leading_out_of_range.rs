//! Follows a proposal that it did not make.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(Decision {
            leading: Some(7),
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
