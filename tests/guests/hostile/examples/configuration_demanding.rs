//! Takes only a configuration that names a `ceiling`.

use hostile::{Description, Policy, description};

struct Guest;

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": { "ceiling": { "type": "integer", "minimum": 1 } },
    "required": ["ceiling"],
    "additionalProperties": false
}"#;

impl Policy for Guest {
    fn describe() -> Description {
        Description {
            configuration_schema: SCHEMA.into(),
            ..description()
        }
    }
}

hostile::export!(Guest);
