//! One version of a policy under its name: it decides, is counted, and is kept
//! from deciding about an object when it misbehaves for it again and again. Other
//! objects are none the worse for it: which of them come one after the other says
//! nothing of the policy.

use std::collections::BTreeMap;
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

/// Misbehaviours in a row, for one object, that lead to quarantine for that object.
const STRIKES: u32 = 3;
/// Misbehaviours in a row, whatever the object, that lead to quarantine for all: where
/// nothing is right any more, trying every object three times would take long.
const STRIKES_OF_ALL: u32 = 30;
/// Objects for which misbehaviour is remembered.
const OBJECTS: usize = 10_000;
/// The one that expanders are asked about.
const NODES: &str = "node groups";
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
    /// Objects for which it misbehaved the last time.
    objects: BTreeMap<String, Strikes>,
    /// All objects taken together.
    all: Strikes,
    latest: Timestamp,
    /// Until when the last of the quarantines holds that there were.
    last: Timestamp,
}

/// How it has fared where it misbehaves: with one object, or with all.
#[derive(Clone, Default)]
struct Strikes {
    /// In a row.
    count: u32,
    backoff_ms: i64,
    /// Until when it is kept from deciding, and why.
    quarantine: Option<(Timestamp, String)>,
}

impl Strikes {
    /// The quarantine that holds at a time.
    fn quarantined(&self, now: Timestamp) -> Option<&(Timestamp, String)> {
        self.quarantine.as_ref().filter(|(until, _)| now < *until)
    }

    /// Counts a misbehaviour; the end of a quarantine that begins is returned, as it
    /// does from so many in a row on.
    fn add(&mut self, now: Timestamp, most: u32, failure: &PolicyFailure) -> Option<Timestamp> {
        self.count = self.count.saturating_add(1);
        // Decisions under way when the quarantine began do not prolong it.
        if self.count < most || self.quarantined(now).is_some() {
            return None;
        }
        self.backoff_ms = (self.backoff_ms * 2).clamp(FIRST_BACKOFF_MS, LAST_BACKOFF_MS);
        let until = now.plus(self.backoff_ms);
        self.quarantine = Some((until, failure.to_string()));
        Some(until)
    }
}

impl Health {
    /// Whether a decision has to reckon with the 80% rule.
    pub fn near_budget(&self) -> bool {
        self.highest_share >= NEAR_BUDGET
    }

    /// The longest quarantine that still held when the policy was last asked: its
    /// end, whom it concerns, and why.
    pub fn quarantined(&self) -> Option<(Timestamp, String)> {
        if let Some((until, reason)) = self.all.quarantined(self.latest) {
            return Some((*until, format!("all objects: {reason}")));
        }
        let objects = self.objects.iter();
        let held = objects.filter_map(|(object, strikes)| {
            let (until, reason) = strikes.quarantined(self.latest)?;
            Some((*until, object, reason))
        });
        let count = held.clone().count();
        let (until, object, reason) = held.max()?;
        let others = match count - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        Some((until, format!("{object}{others}: {reason}")))
    }

    fn begin(&mut self, object: &str, now: Timestamp) -> Result<(), PolicyFailure> {
        self.latest = self.latest.max(now);
        let own = || self.objects.get(object)?.quarantined(now);
        match self.all.quarantined(now).or_else(own) {
            Some((until, reason)) => {
                let seconds = until.since(now).div_euclid(1000) + 1;
                Err(PolicyFailure::Quarantined(format!(
                    "for {seconds} s more, after: {reason}"
                )))
            }
            None => Ok(()),
        }
    }

    /// Counts an outcome; the end of a quarantine that begins is returned, if no
    /// other holds: however many objects are concerned, it is told once.
    fn end(
        &mut self,
        object: &str,
        now: Timestamp,
        failure: Option<&PolicyFailure>,
    ) -> Option<Timestamp> {
        self.decisions += 1;
        self.failures += u64::from(failure.is_some());
        let Some(failure) = failure.filter(|failure| failure.is_misbehaviour()) else {
            self.objects.remove(object);
            self.all = Strikes::default();
            return None;
        };
        let all = self.all.add(now, STRIKES_OF_ALL, failure);
        let own = self.strikes(object, now);
        let own = own.and_then(|strikes| strikes.add(now, STRIKES, failure));
        let until = all.max(own)?;
        let told = now < self.last;
        self.last = self.last.max(until);
        (!told).then_some(until)
    }

    /// What is held against the policy for an object; none, if that is known of too
    /// many others: then it is asked each time.
    fn strikes(&mut self, object: &str, now: Timestamp) -> Option<&mut Strikes> {
        if self.objects.len() >= OBJECTS && !self.objects.contains_key(object) {
            self.objects
                .retain(|_, strikes| strikes.quarantined(now).is_some());
            if self.objects.len() >= OBJECTS {
                return None;
            }
        }
        Some(self.objects.entry(object.to_owned()).or_default())
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
        object: &str,
        context: &Context,
        ask: impl FnOnce(&CompiledPolicy) -> PolicyOutcome<A>,
    ) -> PolicyOutcome<A> {
        // Before anything is counted: an object's bad configuration says nothing of
        // the policy's health.
        let begun = self
            .policy
            .check_decision(context)
            .and_then(|()| self.lock().begin(object, context.now));
        if let Err(failure) = begun {
            return policy::not_asked(failure);
        }
        let outcome = ask(&self.policy);
        self.count(object, context.now, &outcome);
        outcome
    }

    fn count<A>(&self, object: &str, now: Timestamp, outcome: &PolicyOutcome<A>) {
        let failure = outcome.answer.as_ref().err();
        let share = share(&outcome.usage, &self.budget());
        let (until, near) = {
            let mut health = self.lock();
            (health.end(object, now, failure), health.spent(share))
        };
        if near {
            let version = Arc::clone(self.version());
            self.subscribers
                .publish(&PolicyEvent::NearBudget { version, share });
        }
        if let (Some(until), Some(failure)) = (until, failure) {
            let version = Arc::clone(self.version());
            let reason = format!("{object}: {failure}");
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
        let target = &input.target;
        let object = format!("{} {}/{}", target.kind, target.namespace, target.name);
        self.ask(&object, context, |policy| policy.decide(context, input))
    }
}

impl ExpanderPolicy for Generation {
    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        self.ask(NODES, context, |policy| policy.rank(context, input))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

    use super::{Health, OBJECTS, PolicyFailure, Timestamp};

    #[test]
    fn quarantine_follows_three_strikes_and_backs_off() {
        let trap = PolicyFailure::Trapped("wasm `unreachable`".into());
        let mut health = Health::default();
        let mut now = Timestamp(1_000_000);
        assert_eq!(health.end("a", now, Some(&trap)), None);
        assert_eq!(
            health.end("a", now, Some(&PolicyFailure::Refused("no".into()))),
            None
        );
        assert_eq!(
            health.end("a", now, Some(&trap)),
            None,
            "a refusal is no misbehaviour"
        );
        assert_eq!(health.end("a", now, Some(&trap)), None);
        for seconds in [30, 60, 120, 240, 480, 600, 600] {
            let until = health
                .end("a", now, Some(&trap))
                .map(|until| until.since(now));
            assert_eq!(until, Some(seconds * 1_000));
            assert_eq!(health.end("a", now, Some(&trap)), None, "already under way");
            assert!(health.begin("a", now.plus(seconds * 1_000 - 1)).is_err());
            now = now.plus(seconds * 1_000);
            assert!(health.begin("a", now).is_ok(), "tried again");
        }
        assert_eq!(health.end("a", now, None), None);
        assert!(health.objects.is_empty(), "one success clears it");
        assert_eq!(health.end("a", now, Some(&trap)), None);
        assert_eq!((health.decisions, health.failures), (20, 19));
    }

    #[test]
    fn what_is_remembered_of_objects_has_an_end() {
        let trap = PolicyFailure::Trapped("wasm `unreachable`".into());
        let mut health = Health::default();
        let now = Timestamp(1_000_000);
        let strike = |health: &mut Health, object: &str, now| {
            health.end("good", now, None);
            health.end(object, now, Some(&trap))
        };
        for _ in 0..3 {
            for object in 0..OBJECTS {
                strike(&mut health, &object.to_string(), now);
            }
        }
        let (until, reason) = health.quarantined().unwrap();
        assert_eq!(until, now.plus(30_000));
        assert_eq!(
            reason,
            "9999 and 9999 more: PolicyTrapped: wasm `unreachable`"
        );
        for _ in 0..3 {
            assert_eq!(strike(&mut health, "one more", now), None);
        }
        assert!(health.begin("one more", now).is_ok(), "asked each time");
        assert_eq!(strike(&mut health, "one more", now.plus(30_000)), None);
        assert_eq!(health.objects.len(), 1, "the others' quarantine is over");
    }

    #[test]
    fn what_fails_for_every_object_is_not_tried_with_each() {
        let trap = PolicyFailure::Trapped("wasm `unreachable`".into());
        let mut health = Health::default();
        let now = Timestamp(1_000_000);
        let strike = |health: &mut Health, objects: std::ops::Range<u32>, now| {
            let ends = objects.map(|object| health.end(&object.to_string(), now, Some(&trap)));
            ends.flatten().collect::<Vec<_>>()
        };
        assert!(strike(&mut health, 0..29, now).is_empty());
        health.end("good", now, None);
        assert!(strike(&mut health, 29..58, now).is_empty(), "in a row");
        assert_eq!(strike(&mut health, 58..59, now), [now.plus(30_000)]);
        assert!(health.begin("never asked before", now).is_err());
        let (_, reason) = health.quarantined().unwrap();
        assert!(reason.starts_with("all objects: PolicyTrapped"), "{reason}");

        // One is enough after that, until something is right again.
        let now = now.plus(30_000);
        assert!(health.begin("good", now).is_ok());
        assert_eq!(strike(&mut health, 59..60, now), [now.plus(60_000)]);
        health.end("good", now, None);
        assert!(health.begin("never asked before", now).is_ok());
    }
}
