//! Texts of a table, each once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NO_ROW;

/// Collects the texts of a table, each once. Columns then name their rows.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    texts: Vec<Arc<str>>,
    rows: BTreeMap<Arc<str>, u32>,
}

impl Texts {
    /// Returns the row of a text, and adds the text if it is new.
    pub fn row(&mut self, text: &Arc<str>) -> u32 {
        if let Some(&row) = self.rows.get(text) {
            return row;
        }
        let row = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(Arc::clone(text));
        self.rows.insert(Arc::clone(text), row);
        row
    }

    /// Returns the row of a text, or [`NO_ROW`] if there is none.
    pub fn row_or_none(&mut self, text: Option<&Arc<str>>) -> i32 {
        text.map_or(NO_ROW, |text| {
            i32::try_from(self.row(text)).unwrap_or(NO_ROW)
        })
    }

    /// Returns the texts, in the order of their rows.
    #[must_use]
    pub fn into_column(self) -> Vec<Arc<str>> {
        self.texts
    }
}
