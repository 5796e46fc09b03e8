//! The result of a pass, from which its record is made.

use std::sync::Arc;

use super::orders::OrderedPlan;
use crate::findings::Findings;
use crate::record::{NODE_FORMAT, NodeDecisionRecord, OrderOutcome, Pending, ScaleDownRecord};
use crate::reported::{PassStage, ReportedEvents};
use crate::scale_up::Plan;
use flyball_decision::time::Timestamp;

/// What the stages of a pass found, decided and did.
pub(super) struct PassResult {
    /// The last stage that the pass reached.
    pub(super) stage: PassStage,
    /// The plan of scale-up. It has only a verdict if the pass ended early, and is empty if
    /// scale-up was skipped.
    pub(super) plan: Plan,
    /// Outcome of each order of the plan, at its index.
    pub(super) outcomes: Vec<OrderOutcome>,
    /// What was found and done about removals. `None` if nothing changed.
    pub(super) scale_down: Option<ScaleDownRecord>,
    /// Findings of all stages.
    pub(super) findings: Findings,
}

/// Fields of a record that do not come from its pass.
pub(super) struct RecordHeader {
    /// Version of the host.
    pub(super) host: Arc<str>,
    /// Sequence number of the record.
    pub(super) sequence: u64,
    /// Time of the pass.
    pub(super) at: Timestamp,
}

impl PassResult {
    /// Returns the result of a pass with these findings of its repairs. `ordered` is `None`
    /// if scale-up was skipped.
    pub(super) fn new(repairs: Findings, ordered: Option<OrderedPlan>) -> Self {
        let stage = match ordered {
            Some(_) => PassStage::Plan,
            None => PassStage::Health,
        };
        let ordered = ordered.unwrap_or_default();
        let mut findings = repairs;
        findings.extend(ordered.findings);
        Self {
            stage,
            plan: ordered.plan,
            outcomes: ordered.outcomes,
            scale_down: None,
            findings,
        }
    }

    /// Adds what was found and done about removals.
    pub(super) fn with_removals(mut self, removed: (Option<ScaleDownRecord>, Findings)) -> Self {
        self.scale_down = removed.0;
        self.findings.extend(removed.1);
        self
    }

    /// Puts the record together, without events and incidents that were reported before.
    /// Returns `None` if there is nothing to record.
    pub(super) fn into_record(
        self,
        header: RecordHeader,
        reported: &mut ReportedEvents,
    ) -> Option<NodeDecisionRecord> {
        let Self {
            stage,
            plan,
            outcomes,
            scale_down,
            findings,
        } = self;
        let findings = reported.unreported(findings, stage);
        let is_idle = plan.rounds.is_empty() && plan.pending == Pending::default();
        if is_idle
            && scale_down.is_none()
            && findings.incidents.is_empty()
            && findings.events.is_empty()
        {
            return None;
        }
        let record = NodeDecisionRecord {
            format: NODE_FORMAT.into(),
            host: header.host,
            sequence: header.sequence,
            at: header.at,
            pending: plan.pending,
            skipped: plan.skipped,
            upcoming: plan.upcoming,
            rounds: plan.rounds,
            remaining: plan.remaining,
            scale_down,
            verdict: plan.verdict,
            outcomes,
            incidents: findings.incidents,
            log: findings.log,
            events: findings.events,
        };
        Some(record.shortened())
    }
}
