//! Wants an input that no host knows.

use hostile::{Description, Policy, WantedInput, description};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        Description {
            wants: vec![WantedInput {
                kind: "weather".into(),
                arguments: Vec::new(),
            }],
            ..description()
        }
    }
}

hostile::export!(Guest);
