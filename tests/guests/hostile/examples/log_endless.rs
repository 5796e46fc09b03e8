//! Logs without end.

use hostile::{Context, Decision, Error, Input, Policy, log};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        let line = "x".repeat(1 << 18);
        loop {
            log(3, &line);
        }
    }
}

hostile::export!(Guest);
