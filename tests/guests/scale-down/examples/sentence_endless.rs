//! Gives a reason of a hundred thousand bytes.

use scale_down::{Answers, answers, reason};

fn judge(rows: usize) -> Answers {
    Answers {
        reasons: vec![reason(&"and so on ".repeat(10_000))],
        ..answers(rows)
    }
}

scale_down::hostile!(judge);
