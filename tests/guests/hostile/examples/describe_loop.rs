//! Never finishes describing itself.

use hostile::{Description, Policy};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        loop {
            std::hint::spin_loop();
        }
    }
}

hostile::export!(Guest);
