//! Memory of one object between decisions: recommendations, changes carried out, each
//! policy's own recommendations and state, histories. All of it is bounded, and nothing
//! is written before a decision is complete. The part in [`SavedState`] survives a restart,
//! behind [`StateStore`](flyball_decision::memory::StateStore).

use std::sync::Arc;

use crate::guard;
use crate::history::Histories;
use crate::observe::Prepared;
use crate::record::{DecisionRecord, Outcome};
use crate::spec::Behavior;
use flyball_decision::memory::{PolicyMemories, SavedState, fingerprint};
use flyball_decision::part::PolicyRecord;
use flyball_decision::replica::{Samples, Target};
use flyball_decision::time::Timestamp;

/// Memory of one object.
#[derive(Debug, Default)]
pub struct ObjectMemory {
    /// Combined recommendations of the policies before the guardrails: those that can
    /// still be the highest or the lowest of a stabilization window.
    pub recommendations: Samples,
    /// Changes carried out, positive up and negative down, in Kubernetes' order: an
    /// outdated entry is overwritten in place. Holds all that a rate policy may look back
    /// at: the written scales of half an hour at most.
    changes: Samples,
    /// Metric histories that policies want.
    pub histories: Histories,
    /// The policies: their states, recommendations, and who decided last.
    pub policies: PolicyMemories,
    /// Whether states or changes differ from those last saved.
    changed: bool,
}

impl ObjectMemory {
    /// Restores what was saved of the object, unless it has another target now.
    #[must_use]
    pub fn restored(saved: &SavedState, target: &Target) -> Self {
        if saved.target != fingerprint(target) {
            return Self::default();
        }
        Self {
            changes: saved.changes.clone(),
            histories: Histories::restored(&saved.histories),
            policies: PolicyMemories::restored(&saved.states),
            ..Self::default()
        }
    }

    /// Returns what to keep. `None` if nothing changed since it was last returned.
    pub fn take_changed(&mut self, now: Timestamp, target: &Target) -> Option<SavedState> {
        if !self.changed && !self.histories.have_changed() {
            return None;
        }
        self.changed = false;
        let mut changes = self.scale_events();
        changes.prune(now, guard::LONGEST_PERIOD_MS);
        let mut saved = SavedState {
            target: fingerprint(target),
            states: self.policies.states(),
            ..SavedState::default()
        };
        saved.take_changes(changes);
        saved.histories = self.histories.keep(saved.room());
        Some(saved)
    }

    /// Prepares for a decision. The replicas of a target seen for the first time become
    /// its first recommendation. If the clock was set back, entries later than `now` are
    /// moved to `now`.
    pub fn begin(&mut self, now: Timestamp, current: i32) {
        self.recommendations.end_at(now);
        self.changes.end_at(now);
        // No rate policy looks back further.
        self.changes.retain_within(now, guard::LONGEST_PERIOD_MS);
        self.policies.end_at(now);
        if self.recommendations.at_ms.is_empty() {
            self.recommendations.push(now, current);
        }
    }

    /// Returns the changes carried out, oldest first: positive up, negative down.
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

    /// Remembers a change. As upstream, it overwrites the last change in its direction
    /// that this direction's rate policies no longer look at, even if those of the other
    /// direction still might.
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

    /// Remembers a decision once its outcome is known: a policy's state only if nothing
    /// failed, a change only if it was made.
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
        for part in &record.policies {
            self.changed |= self.policies.commit(part, !failed);
            if let Some(replicas) = own_replicas(part) {
                let at = record.at;
                self.policies.asked_for(&part.name, at, replicas, window);
            }
        }
        let is_asked = |name: &Arc<str>| prepared.policies.iter().any(|p| p.name == *name);
        self.changed |= self.policies.retain(is_asked);
    }

    /// Repeats the recommendations of the last decision, which is reused. `by` names
    /// the policies that made one; nothing happens if it is empty.
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
        self.policies.repeat(at, by, window);
        if let Some(&last) = self.recommendations.replicas.last() {
            self.recommendations.prune(at, window);
            self.recommendations.push_extreme(at, last);
        }
    }

    /// Returns whether policies have asked for the same replicas throughout and nothing
    /// was changed: then the memory has the same effect at any later time.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let own = self.policies.recommendations();
        let mut all = own.chain([&self.recommendations]);
        let is_flat = |samples: &Samples| samples.replicas.windows(2).all(|two| two[0] == two[1]);
        self.changes.at_ms.is_empty() && all.all(is_flat)
    }
}

/// Returns the replicas that a policy itself asked for, in this version or the previous
/// one.
fn own_replicas(part: &PolicyRecord) -> Option<i32> {
    let answer = part.answer.as_ref().ok().filter(|_| part.is_own())?;
    Some(i32::try_from(answer.replicas?).unwrap_or(i32::MAX))
}
