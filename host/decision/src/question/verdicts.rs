//! Checks of answers with a verdict for each row.

use crate::context::Reason;
use crate::policy::PolicyFailure;
use crate::scale_down::{MAX_REASONS, NO_ROW};

/// The rows that were asked about.
pub(super) struct Rows {
    /// What a row is.
    pub noun: &'static str,
    /// Number of rows.
    pub count: usize,
}

impl Rows {
    /// Checks that a column has an entry for each row.
    pub fn each(&self, column: &str, entries: usize) -> Result<(), PolicyFailure> {
        if entries == self.count {
            return Ok(());
        }
        let Self { noun, count } = self;
        Err(invalid(format!("{entries} {column} for {count} {noun}s")))
    }

    /// Checks that a column has an entry for each row, or none at all.
    pub fn each_or_none(&self, column: &str, entries: usize) -> Result<(), PolicyFailure> {
        match entries {
            0 => Ok(()),
            entries => self.each(&format!("entries of {column}"), entries),
        }
    }

    /// Checks a column of rows of `reasons`.
    pub fn reasons(&self, column: &[i32], reasons: &[Reason]) -> Result<(), PolicyFailure> {
        self.each_or_none("reason", column.len())?;
        if reasons.len() > MAX_REASONS {
            let count = reasons.len();
            return Err(invalid(format!(
                "there are {count} reasons, at most {MAX_REASONS} are allowed"
            )));
        }
        let exists =
            |&row: &i32| row == NO_ROW || usize::try_from(row).is_ok_and(|row| row < reasons.len());
        match column.iter().position(|row| !exists(row)) {
            Some(at) => Err(invalid(format!(
                "{} {at} has reason {}, but there are {} reasons",
                self.noun,
                column[at],
                reasons.len()
            ))),
            None => Ok(()),
        }
    }

    /// Checks a column of scores.
    pub fn scores(&self, column: &[f64]) -> Result<(), PolicyFailure> {
        self.each_or_none("score", column.len())?;
        match column.iter().position(|score| score.is_nan()) {
            Some(row) => Err(invalid(format!(
                "the score of {} {row} is not a number",
                self.noun
            ))),
            None => Ok(()),
        }
    }
}

/// Returns the failure of an answer that breaks the contract.
pub(super) fn invalid(message: String) -> PolicyFailure {
    PolicyFailure::InvalidAnswer(message)
}
