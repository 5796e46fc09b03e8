//! Gives a reason without a code, which no condition could carry.

use hostile::{Context, Decision, Error, Input, Policy, decision, reason};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        let mut reason = reason("said nothing a machine could compare");
        reason.code.clear();
        Ok(Decision {
            reason,
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
