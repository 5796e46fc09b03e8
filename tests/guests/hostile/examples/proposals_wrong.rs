//! Answers with one proposal more than there are metrics.

use hostile::{Context, Decision, Error, Input, Policy, decision, proposal};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, input: Input) -> Result<Decision, Error> {
        let proposals = vec![proposal(3); input.metrics.len() + 1];
        Ok(Decision {
            proposals,
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
