//! A record as a small document for people. Every kind of record becomes a document,
//! which is printed in the terminal, as plain text, in the log and in the HTML report.
//!
//! ```text
//! 2026-03-02T09:01:28Z  default/web  2 → 7, scaled  (AboveTarget)     title
//!   because: cpu resource utilization above target                    because
//!   policy hpa 1.0.0 (1a2b3c) asks for 7 (AboveTarget): …             note
//!     * cpu: 7 replicas, 140% of the request                            below it
//! ```

mod arithmetic;
mod node_decision;
mod removals;
mod replicas;
mod text;

pub use self::node_decision::{ABOUT_NODES, remaining, round, skipped};
pub use self::removals::{moved_pod, reason, removals, replacement_in_words, staying};
pub use self::replicas::answered_by;
pub use self::text::{Printer, names};
use crate::record::Record;
use flyball_decision::time::Timestamp;

/// A decision as a document for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// When it was decided.
    pub at: Timestamp,
    /// What the decision is about, such as `default/web`.
    pub about: String,
    /// The decision and its outcome, in a few words.
    pub result: String,
    /// Whether the result is good or bad news.
    pub tone: Tone,
    /// CamelCase code of the reason.
    pub code: String,
    /// The reason as a sentence; may be empty.
    pub because: String,
    /// How the decision was made.
    pub blocks: Vec<Block>,
}

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A line.
    Note(Note),
    /// A table.
    Table(Table),
}

/// A line of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Level below the title, from 0.
    pub level: usize,
    /// Whether it is good or bad news.
    pub tone: Tone,
    /// What it is about: a policy, a code; may be empty.
    pub subject: String,
    /// Its text.
    pub text: String,
}

/// Whether something is good or bad news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Neither.
    #[default]
    Plain,
    /// What a line is about.
    Subject,
    /// Of little interest.
    Dim,
    /// Good news.
    Good,
    /// A guardrail changed the proposal, or something needs attention.
    Warning,
    /// Something failed.
    Bad,
    /// Something fails in each decision until it is mended, such as a policy or a metric,
    /// or another policy stands in for it.
    Failing,
}

/// A table of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Headings of the columns, in lower case.
    pub headings: Vec<String>,
    /// Index of the first column of numbers; all columns after it hold numbers too.
    pub numbers: usize,
    /// Rows of cells.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Its text.
    pub text: String,
    /// Whether it is good or bad news.
    pub tone: Tone,
}

/// A record that can be read as a document.
pub trait Documented {
    /// Returns the record as a document.
    fn document(&self) -> Document;
}

impl Documented for Record {
    fn document(&self) -> Document {
        match self {
            Self::Replicas(record) => record.document(),
            Self::Nodes(record) => record.document(),
        }
    }
}

impl Note {
    /// Creates a line without a subject.
    #[must_use]
    pub fn plain(level: usize, text: impl Into<String>) -> Self {
        Self {
            level,
            text: text.into(),
            ..Self::default()
        }
    }

    /// Creates a line about `subject`.
    #[must_use]
    pub fn about(level: usize, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            level,
            subject: subject.into(),
            text: text.into(),
            ..Self::default()
        }
    }

    /// Returns the same line in another tone.
    #[must_use]
    pub fn in_tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

impl Cell {
    fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl From<Note> for Block {
    fn from(note: Note) -> Self {
        Self::Note(note)
    }
}
