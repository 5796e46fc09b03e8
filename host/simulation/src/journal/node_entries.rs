//! Summary of a run's node decisions.

use std::collections::VecDeque;
use std::sync::Arc;

use flyball_nodes::record::{NodeDecisionRecord, OrderOutcome};

use super::{MAX_DECISIONS, PolicyUses};

/// Summary of a run's node decisions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeEntries {
    /// Number of records.
    pub count: u64,
    /// Number of orders that the cloud accepted.
    pub orders: u64,
    /// The expanders that were asked.
    pub uses: PolicyUses,
    /// The last records that ordered or removed nodes, have an incident, or left pods
    /// without a node for other reasons than the record before.
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
        for part in record.rounds.iter().flat_map(|round| &round.expanders) {
            self.uses.take(record.at, part);
        }
        if let Some(questions) = record.scale_down.as_ref().map(|part| &part.questions) {
            let pods = questions.pods.iter().flat_map(|asked| &asked.policies);
            pods.for_each(|part| self.uses.take(record.at, part));
            let nodes = questions.nodes.iter().flat_map(|asked| &asked.policies);
            nodes.for_each(|part| self.uses.take(record.at, part));
        }
        let before = self.last.replace(Arc::clone(record));
        let same = before.is_some_and(|before| has_same_result(&before, record));
        let steps = record
            .scale_down
            .as_ref()
            .map_or(0, |part| part.steps.len());
        let acts = !record.verdict.orders.is_empty() || !record.incidents.is_empty() || steps > 0;
        // Otherwise every pod has a node that is on its way.
        let left_over = !record.rounds.is_empty() || !record.remaining.is_empty();
        if !acts && (same || !left_over) {
            return;
        }
        if self.decisions.len() == MAX_DECISIONS {
            self.decisions.pop_front();
        }
        self.decisions.push_back(Arc::clone(record));
    }
}

/// Reports whether two decisions have the same result for the same reasons.
fn has_same_result(before: &NodeDecisionRecord, after: &NodeDecisionRecord) -> bool {
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
