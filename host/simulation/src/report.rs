//! A run as one HTML page that needs nothing else: no network, no fonts, no
//! scripts from elsewhere. Same runs, same bytes.

mod chart;
mod documents;
mod html;
mod node_decisions;
mod nodes;
mod page;
mod plots;

use crate::run::Run;

/// Points of all curves of a page together: keeps it well below 1.5 MB.
const POINTS: usize = 40_000;

/// The page of one run, or of several under the same load.
#[must_use]
pub fn html(runs: &[Run]) -> String {
    page::page(runs)
}
