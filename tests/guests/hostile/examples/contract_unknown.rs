//! Is built for a version of the contract that no host knows.

use exports::flyball::policy::description::{Description, Guest as Describe};

wit_bindgen::generate!({
    world: "replica-policy",
    inline: "
        package flyball:policy@9.9.9;

        interface description {
            record description { name: string, kinds: list<string>, temper: u32 }
            describe: func() -> description;
        }

        interface replica {
            decide: func(load: f64) -> u64;
        }

        world replica-policy {
            export description;
            export replica;
        }
    ",
});

struct Guest;

impl Describe for Guest {
    fn describe() -> Description {
        Description {
            name: "from-the-future".into(),
            kinds: vec!["replica".into()],
            temper: 9,
        }
    }
}

impl exports::flyball::policy::replica::Guest for Guest {
    fn decide(load: f64) -> u64 {
        load as u64
    }
}

export!(Guest);
