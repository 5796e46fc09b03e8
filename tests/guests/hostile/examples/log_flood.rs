//! Floods the log, with many lines and with a long one, and then decides.

use hostile::{Context, Decision, Error, Input, Policy, decision, log};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        log(3, &"long ".repeat(1 << 16));
        for line in 0..1_000 {
            log(3, &format!("line {line}"));
        }
        Ok(decision(Some(3)))
    }
}

hostile::export!(Guest);
