//! A due object during a tick of the replica loop.

use std::sync::Arc;

use super::removals::Removal;
use super::schedule::Turn;
use crate::guard;
use crate::pipeline::Decision;
use crate::ports::{Autoscaler, MetricSelector, Observation, ScaleIntent};
use flyball_decision::policy::WantedInput;

/// An object that is due.
pub(super) struct Due {
    pub(super) autoscaler: Arc<Autoscaler>,
    /// Slot of the object in the schedule.
    pub(super) slot: usize,
    pub(super) turn: Turn,
    pub(super) wants: Vec<WantedInput>,
    pub(super) metric_selectors: Arc<[MetricSelector]>,
    pub(super) observation: Option<Observation>,
    /// Apart, so that the due objects of a tick are small.
    pub(super) decision: Option<Box<Decision>>,
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

    /// See [`Observation::ready_replicas`].
    pub(super) fn ready_replicas(&self) -> Option<i32> {
        self.observation.as_ref()?.ready_replicas()
    }

    /// Returns what `intent` removes, of a namespace with so many ready replicas. `None` if
    /// it removes nothing that is ready, or if it only keeps a bound, which is the user's
    /// choice and not a signal that could be wrong.
    pub(super) fn removal(&self, intent: &ScaleIntent, ready: i64) -> Option<Removal> {
        let decision = self.decision.as_ref()?;
        let replicas = match self.ready_replicas() {
            Some(ready) => i64::from(ready.saturating_sub(intent.replicas)),
            None => intent.removes(),
        };
        (replicas > 0 && !decision.keeps_bounds()).then(|| Removal {
            object: Arc::clone(&self.autoscaler.uid),
            namespace: Arc::clone(&self.autoscaler.key.namespace),
            replicas,
            ready,
            cut: decision.changed_by(guard::MASS_SCALE_DOWN),
        })
    }
}
