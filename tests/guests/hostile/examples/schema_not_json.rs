//! Describes its configuration with something that is not JSON.

use hostile::{Description, Policy, description};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        Description {
            configuration_schema: "a number, please".into(),
            ..description()
        }
    }
}

hostile::export!(Guest);
