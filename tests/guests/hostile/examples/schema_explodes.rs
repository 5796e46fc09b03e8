//! Describes its configuration with a small schema that takes 8^15 steps to check:
//! each of its parts refers eight times to the next one.

use std::fmt::Write as _;

use hostile::{Description, Policy, description};

struct Guest;

const PARTS: u32 = 15;

impl Policy for Guest {
    fn describe() -> Description {
        let mut schema = String::from(r##"{"$ref": "#/$defs/a0", "$defs": {"##);
        for part in 0..PARTS {
            let next = part + 1;
            let next = format!(r##"{{"$ref": "#/$defs/a{next}"}}"##);
            let all = vec![next; 8].join(", ");
            write!(schema, r#""a{part}": {{"allOf": [{all}]}}, "#).unwrap();
        }
        write!(schema, r#""a{PARTS}": {{}}}}}}"#).unwrap();
        Description {
            configuration_schema: schema,
            ..description()
        }
    }
}

hostile::export!(Guest);
