//! Memory of one object from decision to decision: recommendations, changes carried out,
//! each policy's own recommendations and state, histories. All of it is bounded, and none
//! of it is written before a decision is complete. The part in [`Kept`] outlives the
//! process, behind [`StateStore`](crate::ports::StateStore).

mod kept;
mod samples;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use kept::{DamagedKept, InMemoryStore, KEPT_LIMIT, Kept, KeptHistory, KeptState};
pub(crate) use kept::{STATE_FRAME, STATES_LIMIT};

use crate::guard;
use crate::history::Histories;
use crate::observe::Prepared;
use crate::policy::PolicyVersion;
use crate::record::{Answer, DecisionRecord, Outcome, PolicyRecord};
use crate::replica::{Samples, Target};
use crate::spec::Behavior;
use crate::time::Timestamp;

/// Most of its own recommendations that a policy gets: an hour's at one decision in four
/// seconds. They are for the policy alone, no guardrail uses them.
const MOST_RECALLED: usize = 900;

/// Memory of one object.
#[derive(Debug, Default)]
pub struct Memory {
    /// What the policies asked for together, before the guardrails: what can still
    /// be the highest or the lowest of a stabilization window.
    pub recommendations: Samples,
    /// Changes carried out, positive up and negative down, in Kubernetes' order:
    /// what is outdated is overwritten in place. All that a rate policy may look
    /// back at are there: at most half an hour's, each one a scale written.
    changes: Samples,
    /// Metrics in the past, as policies want them.
    pub histories: Histories,
    policies: BTreeMap<Arc<str>, PolicyMemory>,
    /// Whether states or changes are others than those last kept.
    changed: bool,
}

/// Memory of one policy for one object.
#[derive(Debug, Default)]
struct PolicyMemory {
    /// The code that decided last; empty: not known since a restart.
    digest: Arc<str>,
    /// The code that was asked last, whether or not it answered.
    asked: Arc<str>,
    state_version: u32,
    state: Arc<str>,
    recommendations: Samples,
}

/// What a policy finds of its earlier decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// Its state; empty at first and after a swap to another state version.
    pub state: Arc<str>,
    /// The replicas it asked for.
    pub recommendations: Samples,
    /// The digest of the code that was asked last; empty: not known.
    pub asked_last: Arc<str>,
    /// The digest of the code that decided last, if it was another.
    pub swapped_from: Option<Arc<str>>,
    /// The state version that was dropped, with a state of that version.
    pub reset_from: Option<u32>,
}

impl Memory {
    /// What was kept of the object, unless it had another target then.
    #[must_use]
    pub fn restored(kept: &Kept, target: &Target) -> Self {
        if kept.target != kept::fingerprint(target) {
            return Self::default();
        }
        let policy = |(name, kept): (&Arc<str>, &KeptState)| {
            let known = PolicyMemory {
                state_version: kept.state_version,
                state: Arc::clone(&kept.state),
                ..PolicyMemory::default()
            };
            (Arc::clone(name), known)
        };
        Self {
            changes: kept.changes.clone(),
            histories: Histories::restored(&kept.histories),
            policies: kept.states.iter().map(policy).collect(),
            ..Self::default()
        }
    }

    /// Returns what to keep, if it has changed since it was kept last.
    pub fn take_changed(&mut self, now: Timestamp, target: &Target) -> Option<Kept> {
        if !self.changed && !self.histories.have_changed() {
            return None;
        }
        self.changed = false;
        let mut changes = self.scale_events();
        changes.prune(now, guard::LONGEST_PERIOD_MS);
        let policies = self.policies.iter();
        let with_state = policies.filter(|(_, known)| !known.state.is_empty());
        let state = |(name, known): (&Arc<str>, &PolicyMemory)| {
            let kept = KeptState {
                state_version: known.state_version,
                state: Arc::clone(&known.state),
            };
            (Arc::clone(name), kept)
        };
        let mut kept = Kept {
            target: kept::fingerprint(target),
            states: with_state.map(state).collect(),
            ..Kept::default()
        };
        kept.take_changes(changes);
        kept.histories = self.histories.keep(kept.room());
        Some(kept)
    }

    /// A policy's state, whichever version of it is asked next.
    #[must_use]
    pub fn state(&self, policy: &str) -> Arc<str> {
        let known = self.policies.get(policy);
        known.map_or_else(Arc::default, |known| Arc::clone(&known.state))
    }

    /// A target seen for the first time: what it has is the first recommendation.
    /// Where the clock was set back, what was remembered is of now at the latest.
    pub fn begin(&mut self, now: Timestamp, current: i32) {
        self.recommendations.end_at(now);
        self.changes.end_at(now);
        // No rate policy looks back further.
        self.changes.retain_within(now, guard::LONGEST_PERIOD_MS);
        for policy in self.policies.values_mut() {
            policy.recommendations.end_at(now);
        }
        if self.recommendations.at_ms.is_empty() {
            self.recommendations.push(now, current);
        }
    }

    /// The digest of the code by which a policy decided last; empty: not known.
    #[must_use]
    pub fn decided_by(&self, policy: &str) -> &str {
        let known = self.policies.get(policy);
        known.map_or("", |known| &known.digest)
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
        self.changed = true;
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
            asked_last: Arc::clone(&known.asked),
            swapped_from: (!known.digest.is_empty() && known.digest != version.digest)
                .then(|| Arc::clone(&known.digest)),
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
            self.recommendations.push_extreme(record.at, guard.proposed);
        }
        if let (Outcome::Scaled, Some(from), Some(to)) =
            (&record.outcome, record.verdict.from, record.verdict.to)
        {
            self.scaled(record.at, to.saturating_sub(from), behavior);
        }
        let failed = matches!(record.outcome, Outcome::Failed(_));
        for policy in &record.policies {
            self.drop_state_of_another_version(policy);
            self.commit_policy(policy, record.at, window, failed);
            self.note_asked(policy);
        }
        let is_asked = |name: &Arc<str>| prepared.policies.iter().any(|p| p.name == *name);
        if !self.policies.keys().all(is_asked) {
            self.policies.retain(|name, _| is_asked(name));
            self.changed = true;
        }
    }

    /// Repeats the recommendations of the last decision, because it stands. `by` are the
    /// policies that made one. Empty if none did.
    pub fn repeat(
        &mut self,
        at: Timestamp,
        by: &[Arc<str>],
        behavior: Option<&Behavior>,
        stabilization_ms: i64,
    ) {
        if by.is_empty() {
            return;
        }
        let window = guard::longest_window_ms(behavior, stabilization_ms);
        for (_, policy) in self.policies.iter_mut().filter(|own| by.contains(own.0)) {
            if let Some(&last) = policy.recommendations.replicas.last() {
                policy.asked_for(at, last, window);
            }
        }
        if let Some(&last) = self.recommendations.replicas.last() {
            self.recommendations.prune(at, window);
            self.recommendations.push_extreme(at, last);
        }
    }

    /// Whether policies have asked for the same all along, and nothing was changed:
    /// what is remembered then says the same at any later time.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let own = self.policies.values().map(|policy| &policy.recommendations);
        let mut all = own.chain([&self.recommendations]);
        let is_flat = |samples: &Samples| samples.replicas.windows(2).all(|two| two[0] == two[1]);
        self.changes.at_ms.is_empty() && all.all(is_flat)
    }

    /// Drops a state of another state version once a policy has answered without it. The
    /// state is kept if the policy failed: the version before may yet answer.
    fn drop_state_of_another_version(&mut self, policy: &PolicyRecord) {
        let (Some(version), Answer::Decision(_), true) =
            (&policy.version, &policy.answer, policy.is_own())
        else {
            return;
        };
        let Some(known) = self.policies.get_mut(&version.name) else {
            return;
        };
        if known.state_version != version.state_version {
            self.changed |= !known.state.is_empty();
            known.state_version = version.state_version;
            known.state = Arc::default();
        }
    }

    fn note_asked(&mut self, policy: &PolicyRecord) {
        let asked = policy.asked();
        let (Some(version), Some(known)) = (&asked.version, self.policies.get_mut(&asked.name))
        else {
            return;
        };
        if known.asked != version.digest {
            known.asked = Arc::clone(&version.digest);
        }
    }

    /// A fallback's decision leaves nothing behind: the state is the policy's it
    /// stands in for.
    fn commit_policy(&mut self, policy: &PolicyRecord, at: Timestamp, window: i64, failed: bool) {
        let (Some(version), Answer::Decision(decision), true) =
            (&policy.version, &policy.answer, policy.is_own())
        else {
            return;
        };
        let known = self.policies.entry(Arc::clone(&version.name)).or_default();
        if let Some(replicas) = decision.replicas {
            known.asked_for(at, i32::try_from(replicas).unwrap_or(i32::MAX), window);
        }
        if known.digest != version.digest {
            known.digest = Arc::clone(&version.digest);
        }
        known.state_version = version.state_version;
        if let Some(state) = decision
            .state
            .as_deref()
            .filter(|&state| !failed && *state != *known.state)
        {
            known.state = state.into();
            self.changed = true;
        }
    }
}

impl PolicyMemory {
    fn asked_for(&mut self, at: Timestamp, replicas: i32, window_ms: i64) {
        self.recommendations.prune(at, window_ms);
        self.recommendations.push(at, replicas);
        self.recommendations.keep_latest(MOST_RECALLED);
    }
}
