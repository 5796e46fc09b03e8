//! Describes itself in 4 MB.

use hostile::{Description, Policy, description};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        Description {
            summary: "x".repeat(4 << 20),
            ..description()
        }
    }
}

hostile::export!(Guest);
