//! Describes its configuration with JSON that is no schema.

use hostile::{Description, Policy, description};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        Description {
            configuration_schema: r#"{"type": "replicas", "minimum": "one"}"#.into(),
            ..description()
        }
    }
}

hostile::export!(Guest);
