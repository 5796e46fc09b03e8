//! Lays out columns of text in a width: headings are wrapped, then sentences, and at last
//! names are cut in their middle. Figures and sentences are never cut.

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Names, which may be cut in their middle.
    Name,
    /// Codes and short texts, which are not cut.
    Code,
    /// Figures, aligned to the right.
    Figure,
    /// What may stand in lines of its own below its row, such as a sentence. All columns
    /// after it are so too.
    Below,
}

/// Space between columns.
const GAP: &str = "  ";
/// Minimum width of a name that is cut.
const MIN_NAME: usize = 8;
/// Minimum width of sentences beside the other columns.
const MIN_SENTENCE: usize = 24;
/// Characters after which sentences are wrapped, and headings.
const BREAKS: [char; 1] = [' '];
const HEADING_BREAKS: [char; 2] = [' ', '-'];
/// Indentation of sentences below their row.
const INDENT: usize = 4;

/// Styles the part of a cell that is in a line, by its row and column.
pub type Paint<'a> = &'a dyn Fn(usize, usize, &str) -> String;

/// Returns rows of cells as lines, the first row being the headings. Without a width, each
/// row is one line.
#[must_use]
pub fn lines(
    kinds: &[Kind],
    rows: &[Vec<String>],
    width: Option<usize>,
    paint: Paint<'_>,
) -> Vec<String> {
    let layout = Layout::new(kinds, rows, width);
    let mut lines = Vec::new();
    for (row, cells) in rows.iter().enumerate() {
        layout.add_row(row, cells, paint, &mut lines);
    }
    lines
}

struct Layout<'a> {
    kinds: &'a [Kind],
    /// Widths of the columns that stand side by side.
    widths: Vec<usize>,
    /// Width of the lines below a row. `None` if all columns stand side by side.
    below: Option<usize>,
}

impl<'a> Layout<'a> {
    fn new(kinds: &'a [Kind], rows: &[Vec<String>], width: Option<usize>) -> Self {
        let widest = |column: usize, of: fn(&str) -> usize| {
            let (heading, cells) = rows.split_first()?;
            let cells = cells.iter().filter_map(|row| row.get(column));
            let cells = cells.map(|cell| length(cell));
            cells.chain(heading.get(column).map(|cell| of(cell))).max()
        };
        let widths = |of: fn(&str) -> usize| {
            let columns = 0..kinds.len();
            let widths = columns.map(|column| widest(column, of).unwrap_or_default());
            widths.collect::<Vec<_>>()
        };
        let natural = widths(length);
        let mut layout = Self {
            kinds,
            widths: natural.clone(),
            below: None,
        };
        let Some(width) = width.filter(|width| layout.total() > *width) else {
            return layout;
        };
        layout.widths = widths(longest_word);
        layout.place_sentences(width);
        layout.cut_names(width);
        layout.unwrap_headings(&natural, width);
        layout
    }

    fn total(&self) -> usize {
        let gaps = GAP.len() * self.widths.len().saturating_sub(1);
        self.widths.iter().sum::<usize>() + gaps
    }

    /// Makes the last column narrower if it is a sentence with enough room, else moves all
    /// such columns below their rows.
    fn place_sentences(&mut self, width: usize) {
        let over = self.total().saturating_sub(width);
        let first = self.kinds.iter().position(|kind| *kind == Kind::Below);
        let (Some(first), Some(last)) = (first, self.widths.last_mut()) else {
            return;
        };
        if *last >= over + MIN_SENTENCE || over == 0 {
            *last -= over;
        } else {
            self.widths.truncate(first);
            self.below = Some(width.saturating_sub(INDENT));
        }
    }

    /// Makes the widest names narrower, one character after the other.
    fn cut_names(&mut self, width: usize) {
        while self.total() > width {
            let names = self.widths.iter_mut().zip(self.kinds);
            let names = names.filter(|(width, kind)| **kind == Kind::Name && **width > MIN_NAME);
            let Some((widest, _)) = names.max_by_key(|(width, _)| **width) else {
                return;
            };
            *widest -= 1;
        }
    }

    /// Gives headings the room that is left, so that no more of them are wrapped than have
    /// to be.
    fn unwrap_headings(&mut self, natural: &[usize], width: usize) {
        for (column, natural) in natural.iter().enumerate().take(self.widths.len()) {
            let room = width.saturating_sub(self.total());
            let wrapped = &mut self.widths[column];
            if *natural - *wrapped <= room {
                *wrapped = *natural;
            }
        }
    }

    fn add_row(&self, row: usize, cells: &[String], paint: Paint<'_>, lines: &mut Vec<String>) {
        let beside = cells.iter().zip(&self.widths).zip(self.kinds);
        let parts: Vec<Vec<String>> = beside
            .map(|((cell, width), kind)| match kind {
                _ if length(cell) <= *width => vec![cell.clone()],
                Kind::Name if row > 0 => vec![cut(cell, *width)],
                _ if row == 0 => wrapped(cell, *width, &HEADING_BREAKS),
                _ => wrapped(cell, *width, &BREAKS),
            })
            .collect();
        let height = parts.iter().map(Vec::len).max().unwrap_or_default();
        for number in 0..height {
            let mut line = String::new();
            for (column, (parts, width)) in parts.iter().zip(&self.widths).enumerate() {
                let part = parts.get(number).map_or("", String::as_str);
                let space = " ".repeat(width.saturating_sub(length(part)));
                let part = match part {
                    "" => String::new(),
                    part => paint(row, column, part),
                };
                line += &match self.kinds[column] {
                    Kind::Figure => space + &part,
                    _ => part + &space,
                };
                line += GAP;
            }
            lines.push(line.trim_end().to_owned());
        }
        if let Some(width) = self.below {
            self.add_below(row, cells, width, paint, lines);
        }
    }

    /// Adds the cells that do not stand beside the others, one after the other.
    fn add_below(
        &self,
        row: usize,
        cells: &[String],
        width: usize,
        paint: Paint<'_>,
        lines: &mut Vec<String>,
    ) {
        let indent = " ".repeat(INDENT);
        let mut line = String::new();
        let mut used = 0;
        let below = cells.iter().enumerate().skip(self.widths.len());
        for (column, cell) in below.filter(|(_, cell)| !cell.is_empty()) {
            let gap = if used > 0 { GAP.len() } else { 0 };
            if used > 0 && used + gap + length(cell) > width {
                lines.push(format!("{indent}{line}"));
                (line, used) = (String::new(), 0);
            }
            for (number, part) in wrapped(cell, width, &BREAKS).iter().enumerate() {
                if number > 0 {
                    lines.push(format!("{indent}{line}"));
                    (line, used) = (String::new(), 0);
                } else if used > 0 {
                    line += GAP;
                    used += GAP.len();
                }
                line += &paint(row, column, part);
                used += length(part);
            }
        }
        if used > 0 {
            lines.push(format!("{indent}{line}"));
        }
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Returns the length of the longest word of a heading.
fn longest_word(heading: &str) -> usize {
    let words = heading.split_inclusive(HEADING_BREAKS);
    words
        .map(|word| length(word.trim_end()))
        .max()
        .unwrap_or_default()
}

/// Wraps a text after these characters. A word that is longer than the width stays whole.
fn wrapped(text: &str, width: usize, breaks: &[char]) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(breaks) {
        let used = lines.last().map_or(0, |line| length(line));
        if used > 0 && used + length(word.trim_end()) > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            *line += word;
        }
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// Cuts the middle of a name.
fn cut(name: &str, width: usize) -> String {
    let kept = width.saturating_sub(1);
    let (start, end) = (kept.div_ceil(2), kept / 2);
    let from = length(name).saturating_sub(end);
    let start: String = name.chars().take(start).collect();
    let end: String = name.chars().skip(from).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::{Kind, lines};

    #[test]
    fn names_are_cut_and_sentences_are_wrapped() {
        let kinds = [Kind::Name, Kind::Figure, Kind::Below];
        let rows = [
            ["NAME", "REPLICA-HOURS", "REASON"],
            ["a-name-that-is-long", "12.5", "cpu is above its target"],
            ["web", "1", ""],
        ];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let paint = |_: usize, _: usize, part: &str| part.to_owned();
        let wide = [
            "NAME                 REPLICA-HOURS  REASON",
            "a-name-that-is-long           12.5  cpu is above its target",
            "web                              1",
        ];
        assert_eq!(lines(&kinds, &rows, None, &paint), wide);
        let narrow = [
            "NAME        REPLICA-",
            "               HOURS",
            "    REASON",
            "a-nam…long      12.5",
            "    cpu is above its",
            "    target",
            "web                1",
        ];
        assert_eq!(lines(&kinds, &rows, Some(20), &paint), narrow);
    }
}
