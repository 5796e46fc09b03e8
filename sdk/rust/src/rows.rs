//! Cells of columns, and columns with rows of other tables.

/// Mark in a column of rows: none.
pub(crate) const NO_ROW: i32 = -1;

/// Mark in a column of rows of texts: the text is longer than [`MAX_TEXT`].
pub(crate) const LONG_TEXT: i32 = -2;

/// Maximum size of a label or an annotation by row, in bytes.
pub(crate) const MAX_TEXT: usize = 1024;

/// Returns a cell; the default of its type if the column has no such row.
pub(crate) fn cell<T: Copy + Default>(column: &[T], row: usize) -> T {
    column.get(row).copied().unwrap_or_default()
}

/// Returns a figure. `None` if it is not known.
pub(crate) fn figure(column: &[f64], row: usize) -> Option<f64> {
    let figure = column.get(row).copied();
    figure.filter(|figure| !figure.is_nan())
}

/// Returns the text that `column` names in `row`. `None` if it names none.
pub(crate) fn text<'a>(texts: &'a [String], column: &[i32], row: usize) -> Option<&'a str> {
    let at = usize::try_from(*column.get(row)?).ok()?;
    texts.get(at).map(String::as_str)
}

/// Returns the row of a text, and adds the text if it is new; [`NO_ROW`] for none.
pub(crate) fn text_row(texts: &mut Vec<String>, text: Option<&str>) -> i32 {
    let Some(text) = text else { return NO_ROW };
    let known = texts.iter().position(|known| known == text);
    let row = known.unwrap_or_else(|| {
        texts.push(text.to_owned());
        texts.len() - 1
    });
    i32::try_from(row).unwrap_or(NO_ROW)
}
