//! Tables of aligned columns without lines, which are easy to read and to `cut`.

use anstream::adapter::strip_str;

use super::{STRONG, styled};

/// A table of columns with headings. Cells may be styled.
pub struct Table {
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table with these headings. A heading that starts with `>` aligns its
    /// column to the right, for figures.
    pub fn new(headings: &[&str]) -> Self {
        let names = headings
            .iter()
            .map(|heading| heading.trim_start_matches('>'));
        Self {
            right: headings
                .iter()
                .map(|heading| heading.starts_with('>'))
                .collect(),
            rows: vec![names.map(|name| styled(STRONG, name)).collect()],
        }
    }

    /// Adds a row, with a cell for each heading.
    pub fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows
            .push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }

    fn widths(&self) -> Vec<usize> {
        (0..self.right.len())
            .map(|column| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| width(cell))
                    .max()
            })
            .map(Option::unwrap_or_default)
            .collect()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, &column), &right) in row.iter().zip(&widths).zip(&self.right) {
                let space = " ".repeat(column - width(cell));
                line += &if right {
                    space + cell
                } else {
                    cell.clone() + &space
                };
                line += "  ";
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn width(cell: &str) -> usize {
    strip_str(cell).to_string().chars().count()
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
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(
            text,
            "NAME             FUEL  STATE\n\
             hpa            12,345  active\n\
             a-longer-name       7  failed\n"
        );
    }
}
