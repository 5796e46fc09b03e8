//! Answers with a sentence that is not UTF-8.

use hostile::{Context, Decision, Error, Input, Policy, decision, reason};

struct Guest;

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        // SAFETY: unsound on purpose; the guest itself never reads it as text.
        let sentence = unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xfe]) };
        Ok(Decision {
            reason: reason(&sentence),
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
