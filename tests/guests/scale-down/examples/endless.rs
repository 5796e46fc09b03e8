//! Never comes to an answer.

use scale_down::{Answers, answers};

fn judge(rows: usize) -> Answers {
    while rows > 0 {
        std::hint::spin_loop();
    }
    answers(rows)
}

scale_down::hostile!(judge);
