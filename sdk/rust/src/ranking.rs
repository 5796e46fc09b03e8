//! What an expander answers.

use serde::Serialize;

use crate::bindings::expander::exports::flyball::policy::expander as wire;
use crate::expander::{Expander, ScaleOption};
use crate::reason::{Reason, Refusal};

/// Which options remain, and why.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Ranking {
    best: Vec<usize>,
    /// One for each option, NaN where it is dropped; or none at all.
    scores: Vec<f64>,
    reason: Reason,
    state: Option<Result<String, String>>,
}

impl Ranking {
    /// The options with the lowest score remain. Those without a score (none, or
    /// NaN) are dropped; if all are, no option will do.
    pub fn lowest<'a, C, S, V: Into<Option<f64>>>(
        input: &'a Expander<C, S>,
        score: impl FnMut(ScaleOption<'a>) -> V,
    ) -> Self {
        Self::scored(input, score, |one, best| one < best)
    }

    /// The options with the highest score remain, as [`Ranking::lowest`].
    pub fn highest<'a, C, S, V: Into<Option<f64>>>(
        input: &'a Expander<C, S>,
        score: impl FnMut(ScaleOption<'a>) -> V,
    ) -> Self {
        Self::scored(input, score, |one, best| one > best)
    }

    /// The options in these rows remain; nothing is scored.
    pub fn keep(rows: impl IntoIterator<Item = usize>) -> Self {
        Self::new(rows.into_iter().collect(), Vec::new())
    }

    /// All options remain; nothing is scored.
    pub fn keep_all<C, S>(input: &Expander<C, S>) -> Self {
        Self::keep(0..input.options().len())
    }

    /// No option remains, for that reason.
    pub fn none(sentence: impl Into<String>) -> Self {
        let mut none = Self::keep([]);
        none.reason = Reason::new("NoOption", sentence);
        none
    }

    fn scored<'a, C, S, V: Into<Option<f64>>>(
        input: &'a Expander<C, S>,
        mut score: impl FnMut(ScaleOption<'a>) -> V,
        better: impl Fn(f64, f64) -> bool,
    ) -> Self {
        let scores: Vec<f64> = input
            .options()
            .map(|option| score(option).into().unwrap_or(f64::NAN))
            .collect();
        let mut best: Vec<usize> = Vec::new();
        let mut best_score = f64::NAN;
        for (row, &score) in scores
            .iter()
            .enumerate()
            .filter(|(_, score)| !score.is_nan())
        {
            if best.is_empty() || better(score, best_score) {
                best.clear();
                best_score = score;
            }
            if score == best_score {
                best.push(row);
            }
        }
        Self::new(best, scores)
    }

    fn new(best: Vec<usize>, scores: Vec<f64>) -> Self {
        Self {
            best,
            scores,
            reason: Reason::none_given(),
            state: None,
        }
    }

    /// Why: a CamelCase code that machines compare, and a sentence, which is cut
    /// after 1 KiB. Without it the code is `Unexplained`.
    pub fn because(mut self, code: impl Into<String>, sentence: impl Into<String>) -> Self {
        self.reason.say(code, sentence);
        self
    }

    /// A named value that the sentence speaks of, for machines; cut after 1 KiB.
    pub fn argument(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.reason.arguments.push((name.into(), value.to_string()));
        self
    }

    /// Adds a score for each option, which records show. `None` for an option that is
    /// dropped.
    pub fn with_scores(mut self, scores: impl IntoIterator<Item = Option<f64>>) -> Self {
        let figures = scores.into_iter().map(|score| score.unwrap_or(f64::NAN));
        self.scores = figures.collect();
        self
    }

    /// The state handed to the next decision: at most 768 bytes of JSON. Without it
    /// the state stays as it was.
    pub fn with_state<S: Serialize>(mut self, state: &S) -> Self {
        self.state = Some(serde_json::to_string(state).map_err(|error| error.to_string()));
        self
    }

    /// Rows of the options that remain.
    #[must_use]
    pub fn best(&self) -> &[usize] {
        &self.best
    }

    /// The score of the option in that row. `None` if it has no score.
    #[must_use]
    pub fn score(&self, row: usize) -> Option<f64> {
        self.scores
            .get(row)
            .copied()
            .filter(|score| !score.is_nan())
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The new state as JSON. `None` leaves it as it was.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_ref()?.as_deref().ok()
    }

    pub(crate) fn into_wire(self) -> Result<wire::Ranking, Refusal> {
        let unwritable = |error| Refusal::new("InvalidState", format!("state is no JSON: {error}"));
        let rows = self.best.into_iter();
        Ok(wire::Ranking {
            // A row beyond 32 bits is out of range either way.
            best: rows
                .map(|row| u32::try_from(row).unwrap_or(u32::MAX))
                .collect(),
            scores: self.scores,
            reason: self.reason.into_wire(),
            state: self.state.transpose().map_err(unwritable)?,
        })
    }
}
