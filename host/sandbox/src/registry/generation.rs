//! One version of a policy under its name: it decides, is counted, and is kept
//! from deciding when it misbehaves again and again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flyball_core::nodes::expander::{ExpanderInput, ExpanderRanking};
use flyball_core::policy::{
    Budget, Description, ExpanderPolicy, Policy, PolicyFailure, PolicyOutcome, PolicyVersion,
    ReplicaPolicy, Usage,
};
use flyball_core::replica::{Context, ReplicaDecision, ReplicaInput};
use flyball_core::time::Timestamp;

use crate::policy::{self, CompiledPolicy};
use crate::registry::status::{PolicyEvent, PolicySource, Subscribers};

/// Misbehaviours in a row that lead to quarantine.
const STRIKES: u32 = 3;
const FIRST_BACKOFF_MS: i64 = 30_000;
const LAST_BACKOFF_MS: i64 = 600_000;
/// Part of the budget from which a policy is reported.
const NEAR_BUDGET: f64 = 0.8;

/// A policy's code as the registry hands it out.
pub(super) struct Generation {
    pub policy: Arc<CompiledPolicy>,
    pub source: PolicySource,
    pub number: u64,
    subscribers: Arc<Subscribers>,
    health: Mutex<Health>,
}

/// How a generation has fared.
#[derive(Clone, Default)]
pub(super) struct Health {
    pub decisions: u64,
    pub failures: u64,
    pub highest_share: f64,
    /// Until when it is kept from deciding, and why.
    pub quarantine: Option<(Timestamp, String)>,
    strikes: u32,
    backoff_ms: i64,
    latest: Timestamp,
}

impl Health {
    /// Whether a decision has to reckon with the 80% rule.
    pub fn near_budget(&self) -> bool {
        self.highest_share >= NEAR_BUDGET
    }

    /// The quarantine, if it still held when the policy was last asked.
    pub fn quarantined(&self) -> Option<&(Timestamp, String)> {
        self.quarantine
            .as_ref()
            .filter(|(until, _)| self.latest < *until)
    }

    fn begin(&mut self, now: Timestamp) -> Result<(), PolicyFailure> {
        self.latest = self.latest.max(now);
        match &self.quarantine {
            Some((until, reason)) if now < *until => {
                let seconds = until.since(now).div_euclid(1000) + 1;
                Err(PolicyFailure::Quarantined(format!(
                    "for {seconds} s more, after: {reason}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Counts an outcome; a quarantine that begins is returned.
    fn end(&mut self, now: Timestamp, failure: Option<&PolicyFailure>) -> Option<Timestamp> {
        self.decisions += 1;
        self.failures += u64::from(failure.is_some());
        let Some(failure) = failure.filter(|failure| failure.is_misbehaviour()) else {
            (self.strikes, self.backoff_ms, self.quarantine) = (0, 0, None);
            return None;
        };
        self.strikes = self.strikes.saturating_add(1);
        // Decisions under way when the quarantine began do not prolong it.
        let running = self
            .quarantine
            .as_ref()
            .is_some_and(|(until, _)| now < *until);
        if self.strikes < STRIKES || running {
            return None;
        }
        self.backoff_ms = (self.backoff_ms * 2).clamp(FIRST_BACKOFF_MS, LAST_BACKOFF_MS);
        let until = now.plus(self.backoff_ms);
        self.quarantine = Some((until, failure.to_string()));
        Some(until)
    }

    /// Notes the budget's share; true when it is the first to be near it.
    fn spent(&mut self, share: f64) -> bool {
        let was_near = self.near_budget();
        self.highest_share = self.highest_share.max(share);
        !was_near && self.near_budget()
    }
}

impl Generation {
    pub fn new(
        policy: Arc<CompiledPolicy>,
        source: PolicySource,
        number: u64,
        subscribers: Arc<Subscribers>,
    ) -> Self {
        Self {
            policy,
            source,
            number,
            subscribers,
            health: Mutex::default(),
        }
    }

    pub fn health(&self) -> Health {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, unless the policy is kept from deciding, and counts what came of it.
    fn ask<A>(
        &self,
        context: &Context,
        ask: impl FnOnce(&CompiledPolicy) -> PolicyOutcome<A>,
    ) -> PolicyOutcome<A> {
        // Before anything is counted: an object's bad configuration says nothing of
        // the policy's health.
        let begun = self
            .policy
            .check_decision(context)
            .and_then(|()| self.lock().begin(context.now));
        if let Err(failure) = begun {
            return policy::not_asked(failure);
        }
        let outcome = ask(&self.policy);
        self.count(context.now, &outcome);
        outcome
    }

    fn count<A>(&self, now: Timestamp, outcome: &PolicyOutcome<A>) {
        let failure = outcome.answer.as_ref().err();
        let share = share(&outcome.usage, &self.budget());
        let (until, near) = {
            let mut health = self.lock();
            (health.end(now, failure), health.spent(share))
        };
        if near {
            let version = Arc::clone(self.version());
            self.subscribers
                .publish(&PolicyEvent::NearBudget { version, share });
        }
        if let (Some(until), Some(failure)) = (until, failure) {
            let (version, reason) = (Arc::clone(self.version()), failure.to_string());
            self.subscribers.publish(&PolicyEvent::Quarantined {
                version,
                until,
                reason,
            });
        }
    }
}

/// The part of its budget that a decision took, of fuel or of memory.
fn share(usage: &Usage, budget: &Budget) -> f64 {
    let part = |used: u64, of: u64| {
        if of == 0 {
            1.0
        } else {
            used as f64 / of as f64
        }
    };
    part(usage.fuel, usage.fuel_budget).max(part(usage.memory_bytes, budget.memory_bytes))
}

impl Policy for Generation {
    fn version(&self) -> &Arc<PolicyVersion> {
        self.policy.version()
    }

    fn description(&self) -> &Description {
        self.policy.description()
    }

    fn budget(&self) -> Budget {
        self.policy.budget()
    }
}

impl ReplicaPolicy for Generation {
    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        self.ask(context, |policy| policy.decide(context, input))
    }
}

impl ExpanderPolicy for Generation {
    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        self.ask(context, |policy| policy.rank(context, input))
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, PolicyFailure, Timestamp};

    #[test]
    fn quarantine_follows_three_strikes_and_backs_off() {
        let trap = PolicyFailure::Trapped("wasm `unreachable`".into());
        let mut health = Health::default();
        let mut now = Timestamp(1_000_000);
        assert_eq!(health.end(now, Some(&trap)), None);
        assert_eq!(
            health.end(now, Some(&PolicyFailure::Refused("no".into()))),
            None
        );
        assert_eq!(
            health.end(now, Some(&trap)),
            None,
            "a refusal is no misbehaviour"
        );
        assert_eq!(health.end(now, Some(&trap)), None);
        for seconds in [30, 60, 120, 240, 480, 600, 600] {
            let until = health.end(now, Some(&trap)).map(|until| until.since(now));
            assert_eq!(until, Some(seconds * 1_000));
            assert_eq!(health.end(now, Some(&trap)), None, "already under way");
            assert!(health.begin(now.plus(seconds * 1_000 - 1)).is_err());
            now = now.plus(seconds * 1_000);
            assert!(health.begin(now).is_ok(), "tried again");
        }
        assert_eq!(health.end(now, None), None);
        assert!(health.quarantine.is_none(), "one success clears it");
        assert_eq!(health.end(now, Some(&trap)), None);
        assert_eq!((health.decisions, health.failures), (20, 19));
    }
}
