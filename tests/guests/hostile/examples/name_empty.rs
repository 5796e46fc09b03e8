//! Has no name.

use hostile::{Description, Policy, description};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        Description {
            name: String::new(),
            ..description()
        }
    }
}

hostile::export!(Guest);
