//! Tables of aligned columns without lines, which are easy to read and to `cut`.

use std::fmt::{self, Display};

use anstyle::Style;
use flyball_report::layout::{self, Kind};

use super::{STRONG, limit, plain, styled};

/// A table of columns with headings, as wide as the output.
pub struct Table {
    kinds: Vec<Kind>,
    rows: Vec<Vec<Cell>>,
}

/// A cell of a table: texts with their styles, with a space between them. Control characters
/// in the texts are escaped.
pub struct Cell(Vec<(Style, String)>);

impl Cell {
    /// Creates a cell in a style.
    pub fn styled(style: Style, text: impl Display) -> Self {
        Self(Vec::new()).and(style, text)
    }

    /// Adds a text in a style.
    pub fn and(mut self, style: Style, text: impl Display) -> Self {
        self.0.push((style, plain(text)));
        self
    }

    fn text(&self) -> String {
        let texts: Vec<&str> = self.0.iter().map(|(_, text)| text.as_str()).collect();
        texts.join(" ")
    }

    /// Styles the part of the cell that is in a line. A part of several texts has no style.
    fn painted(&self, part: &str) -> String {
        match self.0.as_slice() {
            [(style, _)] => styled(*style, part),
            texts if self.text() == part => {
                let texts = texts.iter().map(|(style, text)| styled(*style, text));
                texts.collect::<Vec<_>>().join(" ")
            }
            _ => part.to_owned(),
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::styled(Style::new(), text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::styled(Style::new(), text)
    }
}

impl Table {
    /// Creates a table with these headings. The first character of a heading says what its
    /// column holds, if it is not names: `>` figures, `=` codes, `~` what may stand below
    /// the row.
    pub fn new(headings: &[&str]) -> Self {
        let columns = headings.iter().map(|heading| column(heading));
        let (kinds, headings) = columns.unzip();
        Self {
            kinds,
            rows: vec![headings],
        }
    }

    /// Adds a row, with a cell for each heading.
    pub fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    fn lines(&self, width: Option<usize>) -> Vec<String> {
        let texts = |row: &Vec<Cell>| row.iter().map(Cell::text).collect();
        let texts: Vec<Vec<String>> = self.rows.iter().map(texts).collect();
        let paint = |row: usize, column: usize, part: &str| self.rows[row][column].painted(part);
        layout::lines(&self.kinds, &texts, width, &paint)
    }
}

/// Returns what a column holds, and its heading.
fn column(heading: &str) -> (Kind, Cell) {
    let kinds = [('>', Kind::Figure), ('=', Kind::Code), ('~', Kind::Below)];
    let of = |(mark, kind): (char, Kind)| Some((kind, heading.strip_prefix(mark)?));
    let found = kinds.into_iter().find_map(of);
    let (kind, name) = found.unwrap_or((Kind::Name, heading));
    (kind, Cell::styled(STRONG, name))
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines(limit());
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BAD, DIM, POLICY, STRONG, styled};
    use super::{Cell, Table};

    #[test]
    fn columns_are_aligned_whatever_their_style() {
        let mut table = Table::new(&["NAME", ">FUEL", "STATE"]);
        table.row(["hpa", "12,345", "active"]);
        table.row([
            Cell::from("a-longer-name"),
            Cell::from("7"),
            Cell::styled(BAD, "failed").and(DIM, "again"),
        ]);
        let text = table.lines(None).join("\n");
        let again = format!("{} {}", styled(BAD, "failed"), styled(DIM, "again"));
        assert!(text.ends_with(&again), "{text}");
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            text,
            "NAME             FUEL  STATE\n\
             hpa            12,345  active\n\
             a-longer-name       7  failed again"
        );
    }

    #[test]
    fn a_cell_is_in_one_line_and_keeps_its_own_style_only() {
        let mut table = Table::new(&["NAME"]);
        table.row([Cell::styled(POLICY, "a\n\u{1b}[31mb")]);
        table.row(["\u{1b}[0m"]);
        let lines = [
            styled(STRONG, "NAME"),
            styled(POLICY, "a \\u{1b}[31mb"),
            "\\u{1b}[0m".to_owned(),
        ];
        assert_eq!(table.lines(None), lines);
    }
}
