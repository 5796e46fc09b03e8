//! Has a verdict that no host knows.

use scale_down::{Answers, answers};

fn judge(rows: usize) -> Answers {
    Answers {
        verdict: vec![4_000_000_000; rows],
        ..answers(rows)
    }
}

scale_down::hostile!(judge);
