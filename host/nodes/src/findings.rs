//! What the stages of a pass find, for its record.

use super::ports::NodeEvent;
use super::record::Incident;

/// Incidents, log lines and events of one or several stages of a pass, each in the order in
/// which they happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    /// Problems found and handled.
    pub(super) incidents: Vec<Incident>,
    /// Lines for the log.
    pub(super) log: Vec<String>,
    /// Events to publish.
    pub(super) events: Vec<NodeEvent>,
}

impl Findings {
    /// Adds the findings of a later stage.
    pub(super) fn extend(&mut self, later: Self) {
        self.incidents.extend(later.incidents);
        self.log.extend(later.log);
        self.events.extend(later.events);
    }
}
