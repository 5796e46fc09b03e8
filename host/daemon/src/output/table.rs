//! Tables of aligned columns without lines, which are easy to read and to `cut`.

use anstream::adapter::strip_str;
use flyball_report::layout::{self, Kind};

use super::{STRONG, limit, styled};

/// A table of columns with headings, as wide as the output. Cells may be styled.
pub struct Table {
    kinds: Vec<Kind>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table with these headings. The first character of a heading says what its
    /// column holds, if it is not names: `>` figures, `=` codes, `~` what may stand below
    /// the row.
    pub fn new(headings: &[&str]) -> Self {
        let (kinds, names) = headings.iter().map(|heading| kind(heading)).unzip();
        Self {
            kinds,
            rows: vec![names],
        }
    }

    /// Adds a row, with a cell for each heading.
    pub fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows
            .push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }

    fn lines(&self, width: Option<usize>) -> Vec<String> {
        let plain = |row: &Vec<String>| row.iter().map(|cell| unstyled(cell)).collect();
        let plain: Vec<Vec<String>> = self.rows.iter().map(plain).collect();
        let paint = |row: usize, column: usize, part: &str| match (row, &self.rows[row][column]) {
            (0, _) => styled(STRONG, part),
            // The style is around the text.
            (_, cell) => cell.replacen(&plain[row][column], part, 1),
        };
        layout::lines(&self.kinds, &plain, width, &paint)
    }
}

fn kind(heading: &str) -> (Kind, String) {
    let kinds = [('>', Kind::Figure), ('=', Kind::Code), ('~', Kind::Below)];
    let of = |(mark, kind): (char, Kind)| Some((kind, heading.strip_prefix(mark)?.to_owned()));
    let found = kinds.into_iter().find_map(of);
    found.unwrap_or((Kind::Name, heading.to_owned()))
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lines(limit());
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn unstyled(cell: &str) -> String {
    strip_str(cell).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{BAD, styled};
    use super::Table;

    #[test]
    fn columns_are_aligned_whatever_their_style() {
        let mut table = Table::new(&["NAME", ">FUEL", "STATE"]);
        table.row(["hpa", "12,345", "active"]);
        table.row(["a-longer-name", "7", &styled(BAD, "failed")]);
        let text = table.lines(None).join("\n");
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            text,
            "NAME             FUEL  STATE\n\
             hpa            12,345  active\n\
             a-longer-name       7  failed"
        );
    }
}
