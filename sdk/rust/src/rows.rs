//! Columns with rows of other tables.

/// Mark in a column of rows: none.
pub(crate) const NO_ROW: i32 = -1;

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
