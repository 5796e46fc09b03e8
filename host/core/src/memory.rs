//! Memory of one object from decision to decision: recommendations, changes carried out,
//! each policy's own recommendations and state, histories. All of it is bounded, and none
//! of it is written before a decision is complete. The part in [`Kept`] outlives the
//! process, behind [`StateStore`](crate::ports::StateStore).

mod kept;
mod policies;
mod samples;

use std::sync::Arc;

pub use kept::{DamagedKept, InMemoryStore, KEPT_LIMIT, Kept, KeptHistory, KeptState};
pub(crate) use kept::{STATE_FRAME, STATES_LIMIT};
pub use policies::{PolicyMemories, Recalled};

use crate::guard;
use crate::history::Histories;
use crate::observe::Prepared;
use crate::question::PolicyRecord;
use crate::record::{DecisionRecord, Outcome};
use crate::replica::{Samples, Target};
use crate::spec::Behavior;
use crate::time::Timestamp;

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
    /// The policies: their states, recommendations, and who decided last.
    pub policies: PolicyMemories,
    /// Whether states or changes are others than those last kept.
    changed: bool,
}

impl Memory {
    /// What was kept of the object, unless it had another target then.
    #[must_use]
    pub fn restored(kept: &Kept, target: &Target) -> Self {
        if kept.target != kept::fingerprint(target) {
            return Self::default();
        }
        Self {
            changes: kept.changes.clone(),
            histories: Histories::restored(&kept.histories),
            policies: PolicyMemories::restored(&kept.states),
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
        let mut kept = Kept {
            target: kept::fingerprint(target),
            states: self.policies.states(),
            ..Kept::default()
        };
        kept.take_changes(changes);
        kept.histories = self.histories.keep(kept.room());
        Some(kept)
    }

    /// A target seen for the first time: what it has is the first recommendation.
    /// Where the clock was set back, what was remembered is of now at the latest.
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
        self.policies.repeat(at, by, window);
        if let Some(&last) = self.recommendations.replicas.last() {
            self.recommendations.prune(at, window);
            self.recommendations.push_extreme(at, last);
        }
    }

    /// Whether policies have asked for the same all along, and nothing was changed:
    /// what is remembered then says the same at any later time.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let own = self.policies.recommendations();
        let mut all = own.chain([&self.recommendations]);
        let is_flat = |samples: &Samples| samples.replicas.windows(2).all(|two| two[0] == two[1]);
        self.changes.at_ms.is_empty() && all.all(is_flat)
    }
}

/// The replicas that a policy itself asked for, in this version or the one before.
fn own_replicas(part: &PolicyRecord) -> Option<i32> {
    let answer = part.answer.as_ref().ok().filter(|_| part.is_own())?;
    Some(i32::try_from(answer.replicas?).unwrap_or(i32::MAX))
}
