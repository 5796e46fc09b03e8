//! What is kept of the node decisions of a run.

use std::collections::VecDeque;
use std::sync::Arc;

use flyball_core::nodes::record::{NodeDecisionRecord, OrderOutcome};

use super::MOST_DECISIONS;

/// What is kept of the node decisions of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeEntries {
    /// Number of records.
    pub count: u64,
    /// Number of orders that the cloud took.
    pub orders: u64,
    /// The last records that ordered something, found something, or left pods over
    /// for other reasons than the one before.
    pub decisions: VecDeque<Arc<NodeDecisionRecord>>,
    /// The last record.
    pub last: Option<Arc<NodeDecisionRecord>>,
}

impl NodeEntries {
    pub(super) fn take(&mut self, record: &Arc<NodeDecisionRecord>) {
        self.count += 1;
        let taken = record
            .outcomes
            .iter()
            .filter(|outcome| **outcome == OrderOutcome::Ordered);
        self.orders += taken.count() as u64;
        let before = self.last.replace(Arc::clone(record));
        let same = before.is_some_and(|before| says_the_same(&before, record));
        let acts = !record.verdict.orders.is_empty() || !record.incidents.is_empty();
        // Else everyone gets what is on its way.
        let left_over = !record.rounds.is_empty() || !record.remaining.is_empty();
        if !acts && (same || !left_over) {
            return;
        }
        if self.decisions.len() == MOST_DECISIONS {
            self.decisions.pop_front();
        }
        self.decisions.push_back(Arc::clone(record));
    }
}

/// Whether two decisions came to the same end for the same reasons.
fn says_the_same(before: &NodeDecisionRecord, after: &NodeDecisionRecord) -> bool {
    let skipped = |record: &NodeDecisionRecord| {
        let groups = record.skipped.iter();
        groups
            .map(|skipped| (Arc::clone(&skipped.group), Arc::clone(&skipped.code)))
            .collect::<Vec<_>>()
    };
    before.verdict.reason == after.verdict.reason
        && before.remaining == after.remaining
        && skipped(before) == skipped(after)
}
