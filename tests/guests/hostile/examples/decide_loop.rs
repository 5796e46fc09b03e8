//! Never comes to a decision.

use hostile::{Context, Decision, Error, Input, Policy};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        loop {
            std::hint::spin_loop();
        }
    }
}

hostile::export!(Guest);
