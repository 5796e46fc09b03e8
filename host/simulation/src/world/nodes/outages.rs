//! Outages of zones.

use std::sync::Arc;

use flyball_decision::time::Timestamp;

/// Zones with an outage, and its end.
#[derive(Debug, Default)]
pub struct Outages(Vec<(Arc<str>, Timestamp)>);

impl Outages {
    /// Starts an outage of a zone.
    pub fn begin(&mut self, zone: &str, until: Timestamp) {
        self.0.push((zone.into(), until));
    }

    /// Reports whether a zone has an outage.
    pub fn is_out(&self, zone: &str, now: Timestamp) -> bool {
        let out = |outage: &(Arc<str>, Timestamp)| *outage.0 == *zone && now < outage.1;
        self.0.iter().any(out)
    }
}
