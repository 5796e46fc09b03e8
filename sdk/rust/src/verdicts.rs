//! What answers with a verdict for each row have in common.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::bindings::types;
use crate::reason::Reason;
use crate::rows::NO_ROW;

/// Maximum number of reasons that an answer may have.
pub(crate) const MAX_REASONS: usize = 256;

/// Why a row has its verdict: a code and a sentence. The host knows the row, so a sentence
/// need not name it; rows with the same reason share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RowReason {
    pub(crate) code: Cow<'static, str>,
    pub(crate) sentence: Cow<'static, str>,
}

/// The reasons of an answer, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reasons {
    reasons: Vec<RowReason>,
    /// Hashes of the reasons. To compare the texts of each would cost a row more fuel than
    /// it has.
    hashes: Vec<u64>,
}

impl Reasons {
    /// Returns the row of a reason, and adds it if it is new. If there are as many as an
    /// answer may have, another one with the same code stands in.
    pub(crate) fn row(&mut self, reason: Option<RowReason>) -> i32 {
        let Some(reason) = reason else { return NO_ROW };
        let mut hasher = DefaultHasher::new();
        reason.hash(&mut hasher);
        let hash = hasher.finish();
        let mut known = self.hashes.iter().zip(&self.reasons);
        let known = known.position(|(known, other)| *known == hash && *other == reason);
        let row = known.or_else(|| {
            if self.reasons.len() < MAX_REASONS {
                self.reasons.push(reason);
                self.hashes.push(hash);
                return Some(self.reasons.len() - 1);
            }
            let mut others = self.reasons.iter();
            others.position(|known| known.code == reason.code)
        });
        row.and_then(|row| i32::try_from(row).ok())
            .unwrap_or(NO_ROW)
    }

    /// Returns code and sentence of a row.
    pub(crate) fn get(&self, row: i32) -> Option<(&str, &str)> {
        let reason = self.reasons.get(usize::try_from(row).ok()?)?;
        Some((&reason.code, &reason.sentence))
    }

    pub(crate) fn into_wire(self) -> Vec<types::Reason> {
        let reason = |reason: RowReason| Reason::new(reason.code, reason.sentence).into_wire();
        self.reasons.into_iter().map(reason).collect()
    }
}

/// The method by which a verdict says why.
macro_rules! verdict_reason {
    () => {
        /// Why: a CamelCase code that machines compare, and a sentence, which is cut
        /// after 1 KiB. An answer has at most 256 reasons, and rows share them, so the
        /// sentence should not name its row; the host does.
        pub fn because(
            mut self,
            code: impl Into<std::borrow::Cow<'static, str>>,
            sentence: impl Into<std::borrow::Cow<'static, str>>,
        ) -> Self {
            self.reason = Some($crate::verdicts::RowReason {
                code: code.into(),
                sentence: sentence.into(),
            });
            self
        }
    };
}

/// The method by which a verdict says how long it holds.
macro_rules! verdict_until {
    () => {
        /// The verdict holds until then if nothing else changes. Without it time alone
        /// does not change it.
        pub const fn until(mut self, at: $crate::Time) -> Self {
            self.until_ms = at.ms();
            self
        }
    };
}

/// The methods by which verdicts are read again, in tests.
macro_rules! read_verdicts {
    () => {
        /// Returns the code of the reason in that row. `None` if it has none.
        #[must_use]
        pub fn code(&self, row: usize) -> Option<&str> {
            Some(self.reasons.get(*self.reason.get(row)?)?.0)
        }

        /// Returns the sentence of the reason in that row. `None` if it has none.
        #[must_use]
        pub fn sentence(&self, row: usize) -> Option<&str> {
            Some(self.reasons.get(*self.reason.get(row)?)?.1)
        }

        /// Returns the number of rows.
        #[must_use]
        pub fn len(&self) -> usize {
            self.verdict.len()
        }

        /// Returns whether there is no row.
        #[must_use]
        pub fn is_empty(&self) -> bool {
            self.verdict.is_empty()
        }
    };
}

pub(crate) use {read_verdicts, verdict_reason, verdict_until};
