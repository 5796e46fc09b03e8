//! Health of a version: counts its decisions and failures, and decides when it is
//! quarantined for an object and when for all.
//!
//! An object for which the policy misbehaves says nothing about others. The policy is
//! quarantined for all objects only if it misbehaves many times in a row for many
//! objects, or for every object there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_decision::policy::PolicyFailure;
use flyball_decision::policy::PolicyUser;
use flyball_decision::time::Timestamp;

/// Misbehaviours in a row, for one object, that lead to quarantine for that object.
/// Further ones do not count against the policy for all objects.
const STRIKES: u32 = 3;
/// Misbehaviours in a row, for any objects, that lead to quarantine for all: trying every
/// object three times would take long when nothing works any more.
const STRIKES_OF_ALL: u32 = 30;
/// Number of namespaces these must come from, if that many have an object with the
/// policy.
const NAMESPACES_OF_ALL: usize = 10;
/// Maximum number of objects for which misbehaviour is remembered.
const OBJECTS: usize = 10_000;
const FIRST_BACKOFF_MS: i64 = 30_000;
const LAST_BACKOFF_MS: i64 = 600_000;
/// Part of the budget from which usage is reported.
const NEAR_BUDGET: f64 = 0.8;

/// The object that a policy is asked about.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub object: &'a str,
    pub namespace: &'a str,
}

/// Counters and quarantines of a version.
#[derive(Clone, Default)]
pub(super) struct Health {
    pub decisions: u64,
    pub failures: u64,
    pub highest_share: f64,
    /// When it was first asked.
    pub began: Option<Timestamp>,
    /// Answers since another version replaced it; `None` if it was not replaced.
    answers_since_replaced: Option<u64>,
    /// Objects for which it misbehaved the last time it was asked.
    objects: BTreeMap<String, Strikes>,
    /// Misbehaviours for all objects together.
    all: Strikes,
    /// Namespaces of the misbehaviours in a row.
    namespaces: BTreeSet<String>,
    latest: Timestamp,
    /// When the latest quarantine ends or ended.
    last: Timestamp,
}

/// Misbehaviours for one object, or for all.
#[derive(Clone, Default)]
struct Strikes {
    /// Misbehaviours in a row.
    count: u32,
    backoff_ms: i64,
    /// When its quarantine ends, and why it is quarantined.
    quarantine: Option<(Timestamp, String)>,
}

/// Events that follow from the end of a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    /// The end of a quarantine that begins, if an event is due: the quarantine is for all
    /// objects, or ends later than those in force.
    pub quarantined: Option<Timestamp>,
    /// A quarantine for all begins.
    pub for_all: bool,
}

impl Strikes {
    /// Returns the quarantine in force at a time.
    fn quarantined(&self, now: Timestamp) -> Option<&(Timestamp, String)> {
        self.quarantine.as_ref().filter(|(until, _)| now < *until)
    }

    /// Counts a misbehaviour. From `most` in a row on, a quarantine begins, and its end
    /// is returned.
    fn add(&mut self, now: Timestamp, most: u32, failure: &PolicyFailure) -> Option<Timestamp> {
        self.count = self.count.saturating_add(1);
        // Decisions that were running when the quarantine began do not prolong it.
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
    /// Returns the health of a version of which only the time of the first question is
    /// known.
    pub fn since(began: Option<Timestamp>) -> Self {
        Self {
            began,
            ..Self::default()
        }
    }

    /// Reports whether a decision has used 80% of its budget.
    pub fn near_budget(&self) -> bool {
        self.highest_share >= NEAR_BUDGET
    }

    /// Returns the longest quarantine in force when the policy was last asked: its end,
    /// and its objects and reason as text.
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

    /// Reports whether it was quarantined for all objects when it was last asked.
    pub fn is_quarantined_for_all(&self) -> bool {
        self.all.quarantined(self.latest).is_some()
    }

    /// Records that another version replaces it.
    pub fn replaced(&mut self) {
        self.answers_since_replaced = Some(0);
    }

    /// Reports whether another version has replaced it.
    pub fn is_replaced(&self) -> bool {
        self.answers_since_replaced.is_some()
    }

    /// Reports whether it had to answer after it was replaced.
    pub fn stood_in(&self) -> bool {
        self.answers_since_replaced.is_some_and(|count| count > 0)
    }

    pub fn begin(&mut self, object: &str, now: Timestamp) -> Result<(), PolicyFailure> {
        self.began.get_or_insert(now);
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

    /// Counts an outcome. `users` returns the objects that name the policy; empty if they
    /// are not known.
    pub fn end(
        &mut self,
        asker: Asker<'_>,
        now: Timestamp,
        failure: Option<&PolicyFailure>,
        users: impl FnOnce() -> Arc<[PolicyUser]>,
    ) -> Ended {
        self.decisions += 1;
        self.failures += u64::from(failure.is_some());
        if failure.is_none() {
            self.answers_since_replaced = self.answers_since_replaced.map(|count| count + 1);
        }
        let Some(failure) = failure.filter(|failure| failure.is_misbehaviour()) else {
            self.objects.remove(asker.object);
            self.all = Strikes::default();
            self.namespaces.clear();
            return Ended::default();
        };
        let own = self.strikes(asker.object, now).map(|strikes| {
            let until = strikes.add(now, STRIKES, failure);
            (strikes.count, until)
        });
        let (count, own) = own.unwrap_or((1, None));
        // An object that keeps failing counts as one. After a quarantine for all objects
        // a single misbehaviour is enough, until an answer succeeds.
        let counts = count <= STRIKES || self.all.backoff_ms > 0;
        if counts {
            self.namespaces.insert(asker.namespace.to_owned());
        }
        let near = own.is_some() || self.all.count + 1 >= STRIKES_OF_ALL;
        let users = if near { users() } else { Arc::default() };
        let all = if own.is_some() && self.has_all_quarantined(now, &users) {
            self.all.add(now, 1, failure)
        } else if counts && self.namespaces.len() < namespaces_of_all(&users) {
            self.all.count += 1;
            None
        } else if counts {
            self.all.add(now, STRIKES_OF_ALL, failure)
        } else {
            None
        };
        let until = all.max(own);
        let already_reported = now < self.last;
        self.last = until.map_or(self.last, |until| self.last.max(until));
        Ended {
            quarantined: until.filter(|_| all.is_some() || !already_reported),
            for_all: all.is_some(),
        }
    }

    /// Reports whether every object that the policy is asked about is quarantined. A
    /// single object counts as all only if there is no other.
    fn has_all_quarantined(&self, now: Timestamp, users: &[PolicyUser]) -> bool {
        let is_held = |user: &&PolicyUser| {
            let strikes = self.objects.get(&user.object);
            strikes.is_some_and(|strikes| strikes.quarantined(now).is_some())
        };
        let held = users.iter().filter(is_held).count();
        let asked = users.iter().filter(|user| user.is_asked);
        held >= users.len().min(2)
            && held > 0
            && asked.clone().filter(is_held).count() == asked.count()
    }

    /// Returns the policy's misbehaviours for an object. Returns `None` if too many other
    /// objects are remembered: then it is asked each time.
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

    /// Records the used part of the budget. Returns whether it is the first near the
    /// budget.
    pub fn spent(&mut self, share: f64) -> bool {
        let was_near = self.near_budget();
        self.highest_share = self.highest_share.max(share);
        !was_near && self.near_budget()
    }
}

/// Returns the number of namespaces that misbehaviours must come from to count for all
/// objects. Namespaces in which the policy is never asked can't fail, and are not
/// counted.
fn namespaces_of_all(users: &[PolicyUser]) -> usize {
    let asked = users.iter().filter(|user| user.is_asked);
    let namespaces: BTreeSet<&str> = asked.map(|user| &*user.namespace).collect();
    namespaces.len().min(NAMESPACES_OF_ALL)
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
