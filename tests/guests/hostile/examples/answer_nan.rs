//! Asks for a number of replicas born of NaN: usage divided by a target of 0.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        let nothing = std::hint::black_box(0.0f64);
        Ok(decision(Some((nothing / nothing).ceil() as i64)))
    }
}

hostile::export!(Guest);
