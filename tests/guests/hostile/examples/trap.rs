//! Traps.

use hostile::{Context, Decision, Error, Input, Policy};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        panic!("the governor has come off")
    }
}

hostile::export!(Guest);
