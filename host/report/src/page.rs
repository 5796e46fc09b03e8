//! HTML report of a run: one self-contained page without network, fonts or external
//! scripts. The same runs give the same bytes.

mod body;
mod documents;
mod node_charts;
mod node_decisions;
mod plots;

use flyball_simulation::Run;

/// Maximum number of points of all curves of a page: keeps it well below 1.5 MB.
const POINTS: usize = 40_000;

/// Renders the page of one run, or of several under the same load.
#[must_use]
pub fn html(runs: &[Run]) -> String {
    body::page(runs)
}
