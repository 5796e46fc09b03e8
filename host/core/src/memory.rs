//! What is remembered of one object from decision to decision: recommendations,
//! changes carried out, each policy's own recommendations and state, histories.
//! All of it is bounded, and none of it is written before a decision is through.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::guard;
use crate::history::Histories;
use crate::observe::Prepared;
use crate::policy::PolicyVersion;
use crate::record::{Answer, DecisionRecord, Outcome, PolicyRecord};
use crate::replica::Samples;
use crate::spec::Behavior;
use crate::time::Timestamp;

/// Most recommendations or changes remembered of one object: an hour's at one
/// decision in four seconds. Beyond it the oldest is forgotten.
const MOST_SAMPLES: usize = 900;

/// What is remembered of one object.
#[derive(Debug, Default)]
pub struct Memory {
    /// What the policies asked for together, before the guardrails.
    pub recommendations: Samples,
    /// Changes carried out, positive up and negative down, in Kubernetes' order:
    /// what is outdated is overwritten in place.
    changes: Samples,
    /// Metrics in the past, as policies want them.
    pub histories: Histories,
    policies: BTreeMap<Arc<str>, PolicyMemory>,
}

/// What is remembered of one policy for one object.
#[derive(Debug, Default)]
struct PolicyMemory {
    digest: Arc<str>,
    state_version: u32,
    state: Arc<str>,
    recommendations: Samples,
}

/// What a policy finds of its earlier decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// Its state; empty at first and after a swap to another state version.
    pub state: Arc<str>,
    /// What it asked for.
    pub recommendations: Samples,
    /// The digest of the code that decided last, if it was another.
    pub swapped_from: Option<Arc<str>>,
    /// The state version that was dropped, with a state of that version.
    pub reset_from: Option<u32>,
}

impl Memory {
    /// A target seen for the first time: what it has is the first recommendation.
    /// Where the clock was set back, what was remembered is of now at the latest.
    pub fn begin(&mut self, now: Timestamp, current: i32) {
        self.recommendations.end_at(now);
        self.changes.end_at(now);
        for policy in self.policies.values_mut() {
            policy.recommendations.end_at(now);
        }
        if self.recommendations.at_ms.is_empty() {
            self.recommendations.push(now, current);
        }
    }

    /// Changes carried out, oldest first: positive up, negative down.
    #[must_use]
    pub fn scale_events(&self) -> Samples {
        let at_ms = &self.changes.at_ms;
        if at_ms.is_sorted() {
            return self.changes.clone();
        }
        let mut order: Vec<usize> = (0..at_ms.len()).collect();
        order.sort_by_key(|&index| at_ms[index]);
        Samples {
            at_ms: order.iter().map(|&index| at_ms[index]).collect(),
            replicas: order
                .iter()
                .map(|&index| self.changes.replicas[index])
                .collect(),
        }
    }

    /// Remembers a change. It takes the place of the last one in its direction
    /// that this direction's rate policies no longer look at, even though those
    /// of the other direction might: as upstream.
    pub fn scaled(&mut self, at: Timestamp, change: i32, behavior: Option<&Behavior>) {
        let period = guard::longest_period_ms(behavior, change > 0);
        let known = self.changes.at_ms.iter().zip(&self.changes.replicas);
        let outdated = |(&then, &known): (&i64, &i32)| {
            (known > 0) == (change > 0) && at.since(Timestamp(then)) > period
        };
        match known
            .into_iter()
            .map(outdated)
            .rposition(|outdated| outdated)
        {
            Some(index) => {
                self.changes.at_ms[index] = at.0;
                self.changes.replicas[index] = change;
            }
            None => self.changes.push(at, change),
        }
    }

    /// What `version` finds of its earlier decisions.
    #[must_use]
    pub fn recall(&self, version: &PolicyVersion) -> Recalled {
        let Some(known) = self.policies.get(&version.name) else {
            return Recalled::default();
        };
        let same_state = known.state_version == version.state_version;
        let reset = !same_state && !known.state.is_empty();
        Recalled {
            state: if same_state {
                Arc::clone(&known.state)
            } else {
                Arc::default()
            },
            recommendations: known.recommendations.clone(),
            swapped_from: (known.digest != version.digest).then(|| Arc::clone(&known.digest)),
            reset_from: reset.then_some(known.state_version),
        }
    }

    /// Takes in what a decision leaves behind, once it is known what came of it:
    /// a policy's state only if nothing failed, a change only if it was made.
    pub fn commit(&mut self, record: &DecisionRecord, prepared: &Prepared, stabilization_ms: i64) {
        let behavior = prepared.behavior.as_deref();
        let window = guard::longest_window_ms(behavior, stabilization_ms);
        if let (Some(guard), Some(_)) = (&record.guard, record.verdict.proposed) {
            self.recommendations.prune(record.at, window);
            self.recommendations.push(record.at, guard.proposed);
        }
        if let (Outcome::Scaled, Some(from), Some(to)) =
            (&record.outcome, record.verdict.from, record.verdict.to)
        {
            self.scaled(record.at, to.saturating_sub(from), behavior);
        }
        let failed = matches!(record.outcome, Outcome::Failed(_));
        for policy in &record.policies {
            self.commit_policy(policy, record.at, window, failed);
        }
        if self.policies.len() > prepared.policies.len() {
            self.policies
                .retain(|name, _| prepared.policies.iter().any(|p| p.name == *name));
        }
    }

    /// A fallback's decision leaves nothing behind: the state is the policy's it
    /// stands in for.
    fn commit_policy(&mut self, policy: &PolicyRecord, at: Timestamp, window: i64, failed: bool) {
        let (Some(version), Answer::Decision(decision), None) =
            (&policy.version, &policy.answer, &policy.failed)
        else {
            return;
        };
        let known = self.policies.entry(Arc::clone(&version.name)).or_default();
        if let Some(replicas) = decision.replicas {
            known.recommendations.prune(at, window);
            known
                .recommendations
                .push(at, i32::try_from(replicas).unwrap_or(i32::MAX));
        }
        if known.digest != version.digest {
            known.digest = Arc::clone(&version.digest);
        }
        if known.state_version != version.state_version {
            known.state_version = version.state_version;
            known.state = Arc::default();
        }
        if let Some(state) = decision
            .state
            .as_deref()
            .filter(|&state| !failed && *state != *known.state)
        {
            known.state = state.into();
        }
    }
}

impl Samples {
    /// Adds the latest.
    pub fn push(&mut self, at: Timestamp, replicas: i32) {
        if self.at_ms.len() >= MOST_SAMPLES {
            self.at_ms.remove(0);
            self.replicas.remove(0);
        }
        self.at_ms.push(at.0);
        self.replicas.push(replicas);
    }

    /// Nothing is later than `now`, or it would count until `now` has come there.
    fn end_at(&mut self, now: Timestamp) {
        for at in &mut self.at_ms {
            *at = now.0.min(*at);
        }
    }

    /// Forgets what is older than `window_ms`.
    pub fn prune(&mut self, now: Timestamp, window_ms: i64) {
        let old = self
            .at_ms
            .iter()
            .take_while(|&&at| now.since(Timestamp(at)) > window_ms)
            .count();
        self.at_ms.drain(..old);
        self.replicas.drain(..old);
    }
}
