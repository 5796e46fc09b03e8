//! Memory of policies: their states, and which versions were asked and answered last.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::SavedPolicyState;
use crate::part::Part;
use crate::policy::{PolicyFailure, PolicyVersion};
use crate::question::Question;
use crate::replica::Samples;
use crate::time::Timestamp;

/// Maximum number of its own recommendations that a policy gets: an hour's at one
/// decision every four seconds. They are for the policy alone; no guardrail uses them.
const MAX_RECALLED: usize = 900;

/// Memory of the policies that decide about one object, by name.
#[derive(Clone, Debug, Default)]
pub struct PolicyMemories(BTreeMap<Arc<str>, PolicyMemory>);

/// Memory of one policy for one object.
#[derive(Clone, Debug, Default)]
struct PolicyMemory {
    /// Digest of the code that decided last; empty if unknown, as after a restart.
    digest: Arc<str>,
    /// Digest of the code that was asked last, whether or not it answered.
    asked: Arc<str>,
    /// Message of the quarantine because of which it was not asked; empty if it was.
    quarantine: Arc<str>,
    state_version: u32,
    state: Arc<str>,
    recommendations: Samples,
}

/// What a policy gets of its earlier decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// Its state; empty at first and after a swap to another state version.
    pub state: Arc<str>,
    /// The replicas it asked for.
    pub recommendations: Samples,
    /// Digest of the code that was asked last; empty if unknown.
    pub asked_last: Arc<str>,
    /// Digest of the code that decided last, if it was another.
    pub swapped_from: Option<Arc<str>>,
    /// Version of the state that is dropped, if there is a state of another version.
    pub reset_from: Option<u32>,
}

impl PolicyMemories {
    /// Restores the states that were kept.
    #[must_use]
    pub fn restored(kept: &BTreeMap<Arc<str>, SavedPolicyState>) -> Self {
        let policy = |(name, kept): (&Arc<str>, &SavedPolicyState)| {
            let known = PolicyMemory {
                state_version: kept.state_version,
                state: Arc::clone(&kept.state),
                ..PolicyMemory::default()
            };
            (Arc::clone(name), known)
        };
        Self(kept.iter().map(policy).collect())
    }

    /// Returns the states to keep.
    #[must_use]
    pub fn states(&self) -> BTreeMap<Arc<str>, SavedPolicyState> {
        let with_state = self.0.iter().filter(|(_, known)| !known.state.is_empty());
        let state = |(name, known): (&Arc<str>, &PolicyMemory)| {
            let kept = SavedPolicyState {
                state_version: known.state_version,
                state: Arc::clone(&known.state),
            };
            (Arc::clone(name), kept)
        };
        with_state.map(state).collect()
    }

    /// Returns a policy's state, whichever version of it is asked next.
    #[must_use]
    pub fn state(&self, policy: &str) -> Arc<str> {
        let known = self.0.get(policy);
        known.map_or_else(Arc::default, |known| Arc::clone(&known.state))
    }

    /// Returns the digest of the code that decided last; empty if unknown.
    #[must_use]
    pub fn decided_by(&self, policy: &str) -> &str {
        let known = self.0.get(policy);
        known.map_or("", |known| &known.digest)
    }

    /// Returns whether a failure is the quarantine because of which the policy was not asked
    /// last time, either.
    #[must_use]
    pub fn is_known_quarantine(&self, policy: &str, failure: &PolicyFailure) -> bool {
        let PolicyFailure::Quarantined(message) = failure else {
            return false;
        };
        let known = self.0.get(policy);
        known.is_some_and(|known| *known.quarantine == **message)
    }

    /// Returns what `version` gets of the policy's earlier decisions.
    #[must_use]
    pub fn recall(&self, version: &PolicyVersion) -> Recalled {
        let Some(known) = self.0.get(&version.name) else {
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
            asked_last: Arc::clone(&known.asked),
            swapped_from: (!known.digest.is_empty() && known.digest != version.digest)
                .then(|| Arc::clone(&known.digest)),
            reset_from: reset.then_some(known.state_version),
        }
    }

    /// Remembers an answer; its state only if the decision was carried out
    /// (`keep_state`). A fallback's answer is not remembered. Returns whether a state
    /// changed.
    pub fn commit<Q: Question>(&mut self, part: &Part<Q>, keep_state: bool) -> bool {
        let changed = self.commit_answer(part, keep_state);
        let asked = part.asked();
        if let Some(version) = &asked.version {
            let known = self.0.entry(Arc::clone(&asked.name)).or_default();
            if known.asked != version.digest {
                known.asked = Arc::clone(&version.digest);
            }
            known.quarantine = match &asked.answer {
                Err(PolicyFailure::Quarantined(message)) => message.as_str().into(),
                _ => Arc::default(),
            };
        }
        changed
    }

    fn commit_answer<Q: Question>(&mut self, part: &Part<Q>, keep_state: bool) -> bool {
        let (Some(version), Ok(answer), true) = (&part.version, &part.answer, part.is_own()) else {
            return false;
        };
        let known = self.0.entry(Arc::clone(&version.name)).or_default();
        let mut changed = false;
        // A state of another version is dropped only once the policy has answered without
        // it: until then the previous version may still answer.
        if known.state_version != version.state_version {
            changed |= !known.state.is_empty();
            known.state_version = version.state_version;
            known.state = Arc::default();
        }
        if known.digest != version.digest {
            known.digest = Arc::clone(&version.digest);
        }
        let state = Q::state(answer).filter(|&state| keep_state && *state != *known.state);
        if let Some(state) = state {
            known.state = state.into();
            changed = true;
        }
        changed
    }

    /// Forgets the policies that are no longer asked. Returns whether there were any.
    pub fn retain(&mut self, is_asked: impl Fn(&Arc<str>) -> bool) -> bool {
        if self.0.keys().all(&is_asked) {
            return false;
        }
        self.0.retain(|name, _| is_asked(name));
        true
    }

    /// Remembers that a policy asked for `replicas`.
    pub fn asked_for(&mut self, policy: &str, at: Timestamp, replicas: i32, window: i64) {
        if let Some(known) = self.0.get_mut(policy) {
            known.asked_for(at, replicas, window);
        }
    }

    /// Repeats the last recommendations of these policies.
    pub fn repeat(&mut self, at: Timestamp, by: &[Arc<str>], window: i64) {
        for (_, policy) in self.0.iter_mut().filter(|own| by.contains(own.0)) {
            if let Some(&last) = policy.recommendations.replicas.last() {
                policy.asked_for(at, last, window);
            }
        }
    }

    /// Moves recommendations that are later than `at` to `at`: the clock may have been
    /// set back.
    pub fn end_at(&mut self, at: Timestamp) {
        for policy in self.0.values_mut() {
            policy.recommendations.end_at(at);
        }
    }

    /// Returns the recommendations of each policy.
    pub fn recommendations(&self) -> impl Iterator<Item = &Samples> {
        self.0.values().map(|policy| &policy.recommendations)
    }
}

impl PolicyMemory {
    fn asked_for(&mut self, at: Timestamp, replicas: i32, window_ms: i64) {
        self.recommendations.prune(at, window_ms);
        self.recommendations.push(at, replicas);
        self.recommendations.keep_latest(MAX_RECALLED);
    }
}
