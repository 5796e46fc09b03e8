//! Logs decisions about nodes, in Cluster Autoscaler's words.

use std::sync::{Mutex, PoisonError};

use flyball_decision::part::ExpanderRecord;
use flyball_nodes::record::{NodeDecisionRecord, OrderOutcome};

use super::log_lines;

/// Logs decisions, their outcomes, and expanders that give no usable answer.
#[derive(Default)]
pub struct NodeLog {
    /// Last message about failing expanders, so that it is logged once until it changes.
    logged: Mutex<String>,
}

impl NodeLog {
    pub fn log(&self, record: &NodeDecisionRecord) {
        let expanders = record.rounds.iter().flat_map(|round| &round.expanders);
        log_lines(expanders.clone(), "nodes");
        self.log_failures(expanders);
        for line in &record.log {
            tracing::info!("{line}");
        }
        for incident in &record.incidents {
            let group = incident.group.as_deref();
            tracing::warn!(code = %incident.code, group, "{}", incident.message);
        }
        for (order, outcome) in record.verdict.orders.iter().zip(&record.outcomes) {
            if let OrderOutcome::Failed { class, message } = outcome {
                tracing::warn!(group = %order.group, %class, "could not order nodes: {message}");
            }
        }
    }

    fn log_failures<'a>(&self, expanders: impl Iterator<Item = &'a ExpanderRecord>) {
        let failures = expanders
            .flat_map(ExpanderRecord::parts)
            .filter_map(|part| {
                let failure = part.answer.as_ref().err()?;
                Some(format!("{}: {failure}", part.name))
            });
        let text = failures.collect::<Vec<_>>().join("; ");
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if !text.is_empty() && *logged != text {
            tracing::warn!(failures = text, "an expander gave no usable answer");
        }
        *logged = text;
    }
}
