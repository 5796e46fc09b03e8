//! How a version of a policy fares: what it is asked and how often it fails, for whom
//! it is quarantined, and whether it is for all.
//!
//! An object for which the policy misbehaves says nothing about others. For all it is
//! quarantined only if it misbehaves many times in a row for many objects, or for
//! every object there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_core::control::PolicyUser;
use flyball_core::policy::PolicyFailure;
use flyball_core::time::Timestamp;

/// Misbehaviours in a row, for one object, that lead to quarantine for that object.
/// Of more in a row no more count against the policy for all.
const STRIKES: u32 = 3;
/// Misbehaviours in a row, whatever the object, that lead to quarantine for all: where
/// nothing is right any more, trying every object three times would take long.
const STRIKES_OF_ALL: u32 = 30;
/// Namespaces that these must be of, if so many have an object with the policy.
const NAMESPACES_OF_ALL: usize = 10;
/// Objects for which misbehaviour is remembered.
const OBJECTS: usize = 10_000;
const FIRST_BACKOFF_MS: i64 = 30_000;
const LAST_BACKOFF_MS: i64 = 600_000;
/// Part of the budget from which a policy is reported.
const NEAR_BUDGET: f64 = 0.8;

/// Whom a policy is asked about.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub object: &'a str,
    pub namespace: &'a str,
}

/// How a version has fared.
#[derive(Clone, Default)]
pub(super) struct Health {
    pub decisions: u64,
    pub failures: u64,
    pub highest_share: f64,
    /// When it was asked first.
    pub began: Option<Timestamp>,
    /// Answers since another version took its place; `None`: none has.
    answers_since_replaced: Option<u64>,
    /// Objects for which it misbehaved the last time.
    objects: BTreeMap<String, Strikes>,
    /// All objects taken together.
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

/// What the end of a decision leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    /// The end of a quarantine that begins, if an event is due: one for all objects, or
    /// one that ends later than those that hold already.
    pub quarantined: Option<Timestamp>,
    /// A quarantine for all begins.
    pub for_all: bool,
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
    /// The health of a version that nothing is known of but when it was asked first.
    pub fn since(began: Option<Timestamp>) -> Self {
        Self {
            began,
            ..Self::default()
        }
    }

    /// Whether a decision has taken 80% of its budget.
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

    /// Whether it was quarantined for all when it was last asked.
    pub fn is_quarantined_for_all(&self) -> bool {
        self.all.quarantined(self.latest).is_some()
    }

    /// Another version takes its place.
    pub fn replaced(&mut self) {
        self.answers_since_replaced = Some(0);
    }

    /// Whether another version has taken its place.
    pub fn is_replaced(&self) -> bool {
        self.answers_since_replaced.is_some()
    }

    /// Whether it had to answer after another version took its place.
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

    /// Counts an outcome. `users` are the objects that name the policy; empty if they are
    /// not known.
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
        // Whoever fails on and on is one object still. After a quarantine for all one
        // misbehaviour is enough, until something is right again.
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
        let told = now < self.last;
        self.last = until.map_or(self.last, |until| self.last.max(until));
        Ended {
            quarantined: until.filter(|_| all.is_some() || !told),
            for_all: all.is_some(),
        }
    }

    /// Whether every object that the policy is asked about is quarantined. One object
    /// is all only where there is no other.
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

    /// Returns the policy's misbehaviours for an object. `None` if too many other objects
    /// are remembered: then it is asked each time.
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
    pub fn spent(&mut self, share: f64) -> bool {
        let was_near = self.near_budget();
        self.highest_share = self.highest_share.max(share);
        !was_near && self.near_budget()
    }
}

/// The number of namespaces that misbehaviours must come from to count for all. Those in
/// which the policy is asked about nothing never fail.
fn namespaces_of_all(users: &[PolicyUser]) -> usize {
    let asked = users.iter().filter(|user| user.is_asked);
    let namespaces: BTreeSet<&str> = asked.map(|user| &*user.namespace).collect();
    namespaces.len().min(NAMESPACES_OF_ALL)
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
