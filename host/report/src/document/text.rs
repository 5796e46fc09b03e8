//! Documents as text.

use std::borrow::Borrow;
use std::fmt::{self, Write};

use flyball_decision::time::Timestamp;

use super::{Block, Cell, Document, Note, Table, Tone};
use crate::layout::{self, Kind};

/// How documents are printed.
#[derive(Clone, Copy)]
pub struct Printer<'a> {
    /// Styles or escapes a text for the output.
    pub paint: &'a dyn Fn(Tone, &str) -> String,
    /// Maximum width of tables, in columns. `None`: as wide as they need to be.
    pub width: Option<usize>,
}

const INDENT: &str = "  ";

/// Maximum number of nodes or pods that are listed by name in a line.
pub(super) const MAX_NAMES: usize = 5;

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Printer {
            paint: &|_, text| text.to_owned(),
            width: None,
        }))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.subject {
            "" => f.write_str(&self.text),
            subject => write!(f, "{subject} {}", self.text),
        }
    }
}

impl Document {
    /// Returns result and reason in a line.
    #[must_use]
    pub fn headline(&self) -> String {
        let Self {
            result, because, ..
        } = self;
        match &**because {
            "" => result.clone(),
            _ => format!("{result}: {because}"),
        }
    }

    /// Returns the lines that are not in a table.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Note(note) => Some(note),
            Block::Table(_) => None,
        })
    }

    /// Returns the document as lines of text.
    #[must_use]
    pub fn text(&self, printer: Printer<'_>) -> String {
        self.text_at(&utc(self.at), printer)
    }

    /// Returns the document as lines of text with this time, such as that since the start
    /// of a simulation.
    #[must_use]
    pub fn text_at(&self, at: &str, printer: Printer<'_>) -> String {
        let Self {
            about,
            result,
            tone,
            code,
            because,
            blocks,
            ..
        } = self;
        let paint = printer.paint;
        let at = paint(Tone::Dim, at);
        let about = paint(Tone::Subject, about);
        let result = paint(*tone, result);
        let code = paint(Tone::Plain, code);
        let mut text = format!("{at}  {about}  {result}  ({code})\n");
        if !because.is_empty() {
            let because = paint(Tone::Plain, because);
            let _ = writeln!(text, "{INDENT}because: {because}");
        }
        text + &Block::text(blocks, 1, printer)
    }
}

impl Block {
    /// Returns blocks as lines of text, indented by `level`.
    #[must_use]
    pub fn text(blocks: &[Self], level: usize, printer: Printer<'_>) -> String {
        let mut text = String::new();
        for block in blocks {
            match block {
                Self::Note(note) => write_note(&mut text, note, level, printer),
                Self::Table(table) => write_table(&mut text, table, level, printer),
            }
        }
        text
    }
}

fn write_note(out: &mut String, note: &Note, level: usize, Printer { paint, .. }: Printer<'_>) {
    let indent = INDENT.repeat(level + note.level);
    let text = paint(note.tone, &note.text);
    let _ = match &*note.subject {
        "" => writeln!(out, "{indent}{text}"),
        subject => writeln!(out, "{indent}{} {text}", paint(Tone::Subject, subject)),
    };
}

/// Columns of names are aligned to the left, those of numbers to the right.
fn write_table(out: &mut String, table: &Table, level: usize, printer: Printer<'_>) {
    let indent = INDENT.repeat(level);
    let kind = |column| match column >= table.numbers {
        true => Kind::Figure,
        false => Kind::Name,
    };
    let kinds: Vec<Kind> = (0..table.headings.len()).map(kind).collect();
    let headings = table.headings.iter();
    let headings: Vec<Cell> = headings
        .map(|heading| Cell::new(Tone::Dim, heading.to_uppercase()))
        .collect();
    let rows: Vec<&Vec<Cell>> = [&headings].into_iter().chain(&table.rows).collect();
    let texts = rows.iter();
    let texts: Vec<Vec<String>> = texts
        .map(|row| row.iter().map(|cell| cell.text.clone()).collect())
        .collect();
    let tone = |row: usize, column: usize| rows.get(row)?.get(column).map(|cell| cell.tone);
    let paint = |row: usize, column: usize, part: &str| {
        (printer.paint)(tone(row, column).unwrap_or_default(), part)
    };
    let width = printer
        .width
        .map(|width| width.saturating_sub(indent.len()));
    for line in layout::lines(&kinds, &texts, width, &paint) {
        let _ = writeln!(out, "{indent}{line}");
    }
}

/// Formats a point in time as RFC 3339 in UTC, to the second.
pub(super) fn utc(at: Timestamp) -> String {
    match jiff::Timestamp::from_second(at.0.div_euclid(1000)) {
        Ok(time) => time.to_string(),
        // Beyond the year 9999.
        Err(_) => format!("{} ms after 1970", at.0),
    }
}

/// Lists the first names: `n1, n2 and 3 more`.
#[must_use]
pub fn names<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let listed: Vec<&str> = names.take(MAX_NAMES).collect();
    and_more(&listed, more)
}

/// Lists names, and says how many more there are.
pub(super) fn and_more(listed: &[impl Borrow<str>], more: usize) -> String {
    let listed = listed.join(", ");
    match more {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use flyball_decision::time::Timestamp;

    use super::utc;

    #[test]
    fn times_are_utc() {
        assert_eq!(utc(Timestamp(0)), "1970-01-01T00:00:00Z");
        assert_eq!(utc(Timestamp(951_827_696_789)), "2000-02-29T12:34:56Z");
        assert_eq!(utc(Timestamp(-1)), "1969-12-31T23:59:59Z");
        assert_eq!(
            utc(Timestamp(i64::MAX)),
            "9223372036854775807 ms after 1970"
        );
    }
}
