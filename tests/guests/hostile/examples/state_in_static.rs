//! Tries to remember, beside the state, how often it has decided.

use std::sync::atomic::{AtomicI64, Ordering};

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

static DECISIONS: AtomicI64 = AtomicI64::new(0);

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        let before = DECISIONS.fetch_add(1, Ordering::Relaxed);
        Ok(decision(Some(before + 1)))
    }
}

hostile::export!(Guest);
