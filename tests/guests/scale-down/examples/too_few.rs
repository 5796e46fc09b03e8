//! Leaves out the last row.

use scale_down::{Answers, answers};

fn judge(rows: usize) -> Answers {
    answers(rows - 1)
}

scale_down::hostile!(judge);
