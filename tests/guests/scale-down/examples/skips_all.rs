//! Skips every pod, which is an answer: whether it counts is the host's decision.

use scale_down::{Answers, answers};

fn judge(rows: usize) -> Answers {
    Answers {
        verdict: vec![4; rows],
        ..answers(rows)
    }
}

scale_down::hostile!(judge);
