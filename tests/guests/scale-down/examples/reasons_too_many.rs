//! Gives ten thousand reasons.

use scale_down::{Answers, answers, reason};

fn judge(rows: usize) -> Answers {
    Answers {
        reasons: (0..10_000).map(|_| reason("for one of many")).collect(),
        ..answers(rows)
    }
}

scale_down::hostile!(judge);
