//! Gives a reason of four MiB.

use scale_down::{Answers, answers, reason};

fn judge(rows: usize) -> Answers {
    Answers {
        reasons: vec![reason(&"and so on ".repeat(400_000))],
        ..answers(rows)
    }
}

scale_down::hostile!(judge);
