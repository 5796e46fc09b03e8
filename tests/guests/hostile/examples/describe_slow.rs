//! Takes half a second to describe itself, and a hundred times the usual fuel.

use std::hint::black_box;

use hostile::{Description, Policy, description};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        let sum = (0..200_000_000u64).fold(0, |sum: u64, n| black_box(sum).wrapping_add(n));
        Description {
            state_version: 1 + u32::from(sum == 0),
            ..description()
        }
    }
}

hostile::export!(Guest);
