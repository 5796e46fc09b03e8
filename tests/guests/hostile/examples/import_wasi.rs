//! Reads the environment through WASI.

use hostile::{Context, Decision, Error, Input, Policy, decision};
use wasi::cli::environment::get_environment;

wit_bindgen::generate!({
    inline: "
        package test:guest;

        world importing {
            import wasi:cli/environment@0.2.6;
        }

        package wasi:cli@0.2.6 {
            interface environment {
                get-environment: func() -> list<tuple<string, string>>;
            }
        }
    ",
    generate_all,
});

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(decision(Some(get_environment().len() as i64)))
    }
}

hostile::export!(Guest);
