//! Says that it is of a kind that no host knows.

use hostile::{Description, Policy, description};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        Description {
            kinds: vec!["oracle".into()],
            ..description()
        }
    }
}

hostile::export!(Guest);
