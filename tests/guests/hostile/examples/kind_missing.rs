//! Describes itself as a replica policy, and exports none.

use exports::flyball::policy::description::{Description, Guest as Describe};

wit_bindgen::generate!({
    path: "../../../wit/draft",
    world: "test:guest/undecided",
    inline: "
        package test:guest;

        world undecided {
            export flyball:policy/description@0.1.0-draft;
        }
    ",
    generate_all,
});

struct Guest;

impl Describe for Guest {
    fn describe() -> Description {
        Description {
            name: "hostile".into(),
            version: "1.0.0".into(),
            summary: "describes itself at length".into(),
            kinds: vec!["replica".into()],
            configuration_schema: String::new(),
            state_version: 1,
            wants: Vec::new(),
        }
    }
}

export!(Guest);
