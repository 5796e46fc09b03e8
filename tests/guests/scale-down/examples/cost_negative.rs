//! Asks for money to move a pod.

use scale_down::{Answers, answers};

fn judge(rows: usize) -> Answers {
    Answers {
        cost: vec![-1.0; rows],
        ..answers(rows)
    }
}

scale_down::hostile!(judge);
