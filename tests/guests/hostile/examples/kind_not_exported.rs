//! Says that it is an expander, and exports none.

use hostile::{Description, Policy, description};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        Description {
            kinds: vec!["replica".into(), "expander".into()],
            ..description()
        }
    }
}

hostile::export!(Guest);
