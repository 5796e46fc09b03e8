//! Takes memory until there is none.

use hostile::{Context, Decision, Error, Input, Policy};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        let mut hoard = Vec::new();
        loop {
            hoard.push(Vec::<u8>::with_capacity(1 << 20));
            std::hint::black_box(&hoard);
        }
    }
}

hostile::export!(Guest);
