//! Describes itself in 32 MB.

use hostile::{Description, Policy, description};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        Description {
            summary: "x".repeat(32 << 20),
            ..description()
        }
    }
}

hostile::export!(Guest);
