//! Refuses to decide, as the contract provides.

use hostile::{Context, Decision, Error, Input, Policy};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        Err(Error {
            code: "MissingInput".into(),
            message: "no metric is given".into(),
        })
    }
}

hostile::export!(Guest);
