//! Looks into the bits of NaN, in which machines differ: in the sandbox it is the
//! canonical one everywhere.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

const CANONICAL: u64 = 0x7ff8_0000_0000_0000;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        let nothing = std::hint::black_box(0.0f64);
        let nan = std::hint::black_box(nothing / nothing);
        let canonical = nan.to_bits() == CANONICAL;
        Ok(decision(Some(if canonical { 3 } else { 4 })))
    }
}

hostile::export!(Guest);
