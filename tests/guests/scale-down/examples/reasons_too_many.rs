//! Gives ten thousand reasons, which say nothing.

use scale_down::{Answers, Reason, answers};

fn judge(rows: usize) -> Answers {
    let nothing = || Reason {
        code: String::new(),
        arguments: Vec::new(),
        sentence: String::new(),
    };
    Answers {
        reasons: (0..10_000).map(|_| nothing()).collect(),
        ..answers(rows)
    }
}

scale_down::hostile!(judge);
