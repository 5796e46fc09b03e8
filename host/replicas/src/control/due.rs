//! A due object during a tick of the replica loop.

use std::sync::Arc;

use super::removals::Removal;
use crate::guard;
use crate::pipeline::Decision;
use crate::ports::{Autoscaler, MetricSelector, Observation, ScaleIntent};
use flyball_decision::policy::WantedInput;

/// An object that is due.
pub(super) struct Due {
    pub(super) autoscaler: Arc<Autoscaler>,
    /// Slot of the object in the schedule.
    pub(super) slot: usize,
    pub(super) wants: Vec<WantedInput>,
    pub(super) metric_selectors: Arc<[MetricSelector]>,
    pub(super) observation: Option<Observation>,
    pub(super) decision: Option<Decision>,
    pub(super) written: Option<Result<(), String>>,
}

impl Due {
    /// Returns whether a policy wants the target's labels or annotations.
    pub(super) fn wants_metadata(&self) -> bool {
        let mut wants = self.wants.iter();
        wants.any(|wanted| wanted.kind.starts_with("target-"))
    }

    pub(super) fn intent(&self) -> Option<ScaleIntent> {
        let replicas = self.decision.as_ref()?.intent()?;
        let from = self.observation.as_ref()?.scale.as_ref().ok()?.clone();
        Some(ScaleIntent {
            autoscaler: Arc::clone(&self.autoscaler),
            from,
            replicas,
        })
    }

    /// Returns what `intent` removes. `None` if it removes nothing.
    pub(super) fn removal(&self, intent: &ScaleIntent) -> Option<Removal> {
        let replicas = intent.removes();
        let cut = |decision: &Decision| decision.changed_by(guard::MASS_SCALE_DOWN);
        (replicas > 0).then(|| Removal {
            object: Arc::clone(&self.autoscaler.uid),
            replicas,
            cut: self.decision.as_ref().is_some_and(cut),
        })
    }
}
