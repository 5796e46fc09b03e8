//! Zones without instances.

use std::sync::Arc;

use flyball_core::time::Timestamp;

/// Which zones are out, and until when.
#[derive(Debug, Default)]
pub struct Outages(Vec<(Arc<str>, Timestamp)>);

impl Outages {
    /// A zone is out until then.
    pub fn begin(&mut self, zone: &str, until: Timestamp) {
        self.0.push((zone.into(), until));
    }

    /// Whether a zone is out.
    pub fn is_out(&self, zone: &str, now: Timestamp) -> bool {
        let out = |outage: &(Arc<str>, Timestamp)| *outage.0 == *zone && now < outage.1;
        self.0.iter().any(out)
    }
}
