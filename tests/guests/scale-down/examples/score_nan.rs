//! Scores what is not a number, and costs it.

use scale_down::{Answers, answers};

fn judge(rows: usize) -> Answers {
    let none = 0.0 * rows as f64;
    Answers {
        score: vec![none / none; rows],
        cost: vec![none / none; rows],
        ..answers(rows)
    }
}

scale_down::hostile!(judge);
