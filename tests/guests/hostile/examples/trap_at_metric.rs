//! Panics as soon as a metric beside cpu is present: made-up inputs have none, real
//! ones do.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, input: Input) -> Result<Decision, Error> {
        let beside_cpu = input.metrics.iter().find(|metric| metric.name != "cpu");
        assert!(beside_cpu.is_none(), "a metric is present");
        Ok(decision(Some(3)))
    }
}

hostile::export!(Guest);
