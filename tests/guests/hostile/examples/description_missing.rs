//! Decides, and does not describe itself.

use exports::flyball::policy::replica::{Context, Decision, Error, Guest as Decide, Input};

wit_bindgen::generate!({
    path: "../../../wit/draft",
    world: "test:guest/undescribed",
    inline: "
        package test:guest;

        world undescribed {
            export flyball:policy/replica@0.1.0-draft;
        }
    ",
    generate_all,
});

struct Guest;

impl Decide for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Err(Error {
            code: "Unsupported".into(),
            message: "nobody knows who decides".into(),
        })
    }
}

export!(Guest);
