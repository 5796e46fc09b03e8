//! Declares more memory than any policy may have.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

static mut HOARD: [u8; 1 << 30] = [0; 1 << 30];

impl Policy for Guest {
    fn decide(_: Context, input: Input) -> Result<Decision, Error> {
        let rows = input.pods.state.len();
        // SAFETY: a guest has one thread.
        let first = unsafe { (&raw mut HOARD).cast::<u8>().add(rows).read_volatile() };
        Ok(decision(Some(i64::from(first))))
    }
}

hostile::export!(Guest);
