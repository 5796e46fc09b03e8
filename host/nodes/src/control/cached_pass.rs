//! Cache of the last pass: if it ordered nothing and its inputs have not changed, the
//! next pass would have the same result and is skipped.

use std::sync::Arc;

use crate::backoff::Backoffs;
use crate::census::Census;
use crate::cloud::NodeGroup;
use crate::options::NodeOptions;
use crate::scale_up::Plan;
use flyball_decision::part::Part;
use flyball_decision::policy::{PolicyEngine, kind};
use flyball_decision::time::Timestamp;

/// Longest time for which a pass with expanders is cached, whose answers may depend on the
/// time, or one that left out pods, of which another part has its turn then.
const MAX_AGE_MS: i64 = 60_000;

/// The inputs of a pass, other than the time.
#[derive(PartialEq)]
pub(super) struct PassInputs {
    revision: u64,
    groups: Vec<(Arc<NodeGroup>, u32)>,
    backoffs: Vec<(Arc<str>, Timestamp)>,
    /// Digests of the chain's expanders. `None` if there is no expander of that name.
    expanders: Vec<Option<Arc<str>>>,
}

/// A pass that need not be repeated.
pub(super) struct CachedPass {
    inputs: PassInputs,
    until: Timestamp,
}

impl PassInputs {
    pub(super) fn new(
        now: Timestamp,
        census: &Census,
        backoffs: &Backoffs,
        options: &NodeOptions,
        engine: &dyn PolicyEngine,
    ) -> Self {
        let groups = census.groups.iter();
        let active = backoffs.active(now);
        let active = active.map(|(group, backoff)| (group, backoff.until));
        let expanders = options.expanders.iter();
        Self {
            revision: census.revision,
            groups: groups
                .map(|census| (Arc::clone(&census.group), census.upcoming))
                .collect(),
            backoffs: active
                .chain(backoffs.zones.ends(now))
                .map(|(group, until)| (Arc::clone(group), until))
                .collect(),
            expanders: expanders
                .map(|expander| {
                    let policy = engine.policy(kind::EXPANDER, &expander.name).ok()?;
                    Some(Arc::clone(&policy.version().digest))
                })
                .collect(),
        }
    }
}

impl CachedPass {
    /// Returns the pass that made `plan`, or `None` if it must be repeated: because it
    /// ordered nodes, left pods out that were too young, omitted events, or because an
    /// expander failed or changed its state.
    pub(super) fn of(now: Timestamp, inputs: PassInputs, plan: &Plan) -> Option<Self> {
        let mut expanders = plan.rounds.iter().flat_map(|round| &round.expanders);
        let is_cacheable = plan.verdict.orders.is_empty()
            && plan.pending.young == 0
            && !plan.events_omitted
            && expanders.all(Part::keeps_state);
        let until = if plan.rounds.is_empty() && plan.put_off.is_empty() {
            Timestamp(i64::MAX)
        } else {
            now.plus(MAX_AGE_MS)
        };
        is_cacheable.then_some(Self { inputs, until })
    }

    /// Whether a pass with these inputs can be skipped.
    pub(super) fn is_valid(&self, now: Timestamp, inputs: &PassInputs) -> bool {
        now < self.until && self.inputs == *inputs
    }
}
