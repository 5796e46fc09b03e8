//! Traps while describing itself.

use hostile::{Description, Policy};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        panic!("no words for it")
    }
}

hostile::export!(Guest);
