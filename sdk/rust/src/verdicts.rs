//! What answers with a verdict for each row have in common.

use std::borrow::Cow;

use crate::bindings::types;
use crate::reason::Reason;
use crate::rows::NO_ROW;

/// Maximum number of reasons that an answer may have.
pub(crate) const MAX_REASONS: usize = 256;

/// Why a row has its verdict: a code and a sentence. The host knows the row, so a sentence
/// need not name it; rows with the same reason share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowReason {
    pub(crate) code: Cow<'static, str>,
    pub(crate) sentence: Cow<'static, str>,
}

impl RowReason {
    /// Returns the FNV-1a hash of code and sentence. The standard library's hasher would make
    /// each component larger.
    fn hash(&self) -> u64 {
        let bytes = self.code.bytes().chain(self.sentence.bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// The reasons of an answer, each once, each with its hash: to compare the texts of all
/// would cost a row more fuel than it has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reasons(Vec<(u64, RowReason)>);

impl Reasons {
    /// Returns the row of a reason, and adds it if it is new. If there are as many as an
    /// answer may have, another one with the same code stands in.
    pub(crate) fn row(&mut self, reason: Option<RowReason>) -> i32 {
        let Some(reason) = reason else { return NO_ROW };
        let reason = (reason.hash(), reason);
        let row = if let Some(known) = self.0.iter().position(|known| *known == reason) {
            Some(known)
        } else if self.0.len() < MAX_REASONS {
            self.0.push(reason);
            Some(self.0.len() - 1)
        } else {
            let same_code = |(_, known): &(u64, RowReason)| known.code == reason.1.code;
            self.0.iter().position(same_code)
        };
        row.and_then(|row| i32::try_from(row).ok())
            .unwrap_or(NO_ROW)
    }

    /// Returns code and sentence of a row.
    pub(crate) fn get(&self, row: i32) -> Option<(&str, &str)> {
        let (_, reason) = self.0.get(usize::try_from(row).ok()?)?;
        Some((&reason.code, &reason.sentence))
    }

    pub(crate) fn into_wire(self) -> Vec<types::Reason> {
        let reason =
            |(_, reason): (u64, RowReason)| Reason::new(reason.code, reason.sentence).into_wire();
        self.0.into_iter().map(reason).collect()
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
