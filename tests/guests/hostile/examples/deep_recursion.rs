//! Calls itself until the stack is gone.

use hostile::{Context, Decision, Error, Input, Policy, decision};

struct Guest;

fn descend(depth: i64) -> i64 {
    if depth < 0 {
        return 0;
    }
    let frame = std::hint::black_box([depth; 4]);
    descend(frame[0] + 1) + frame[3]
}

impl Policy for Guest {
    fn decide(_: Context, input: Input) -> Result<Decision, Error> {
        Ok(decision(Some(descend(i64::from(input.current_replicas)))))
    }
}

hostile::export!(Guest);
