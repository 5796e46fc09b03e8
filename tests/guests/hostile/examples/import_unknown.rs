//! Asks something that the contract does not offer.

use acme::weather::forecast::temperature;
use hostile::{Context, Decision, Error, Input, Policy, decision};

wit_bindgen::generate!({
    inline: "
        package test:guest;

        world importing {
            import acme:weather/forecast@1.0.0;
        }

        package acme:weather@1.0.0 {
            interface forecast {
                temperature: func() -> s64;
            }
        }
    ",
    generate_all,
});

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Ok(decision(Some(temperature())))
    }
}

hostile::export!(Guest);
