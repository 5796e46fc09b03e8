//! Names a reason that is not there.

use scale_down::{Answers, answers};

fn judge(rows: usize) -> Answers {
    Answers {
        reason: vec![1; rows],
        ..answers(rows)
    }
}

scale_down::hostile!(judge);
