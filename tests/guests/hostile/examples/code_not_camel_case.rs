//! Gives a reason whose code would break out of the line it is printed on.

use hostile::{Context, Decision, Error, Input, Policy, decision, reason};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        let mut reason = reason("harmless");
        reason.code = "All\nClear: scaled".into();
        Ok(Decision {
            reason,
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
