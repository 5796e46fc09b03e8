//! Asks for thirteen replicas, and panics when there are thirteen: inputs that were
//! recorded before it decided show nothing of it. Its state is of version 2.

use hostile::{Context, Decision, Description, Error, Input, Policy, decision, description};

struct Guest;

impl Policy for Guest {
    fn describe() -> Description {
        Description {
            version: "2.0.0".into(),
            state_version: 2,
            ..description()
        }
    }

    fn decide(_: Context, input: Input) -> Result<Decision, Error> {
        assert_ne!(input.current_replicas, 13, "thirteen is one too many");
        Ok(Decision {
            state: Some("second".into()),
            ..decision(Some(13))
        })
    }
}

hostile::export!(Guest);
