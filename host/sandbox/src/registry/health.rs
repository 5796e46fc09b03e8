//! Health of a version: counts its decisions and failures, and decides when it is
//! quarantined, and for which objects.
//!
//! An object for which the policy misbehaves says nothing about others, and a namespace
//! nothing about other namespaces. So a quarantine is for an object, after three
//! misbehaviours in a row; for the objects of a namespace, after many in a row there; and
//! for all objects only if the policy is quarantined in every namespace in which it is asked.
//! That holds these namespaces: not one in which it has not failed, such as a new one, or one
//! whose objects were asleep.
//!
//! After a quarantine of a namespace or of all, objects for which the policy did not
//! misbehave last come first: an object that always makes it fail must not prolong the
//! quarantine of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::policy::PolicyFailure;
use flyball_decision::time::Timestamp;

use super::users::Users;

/// Misbehaviours in a row, for one object, that lead to quarantine for that object.
/// Further ones do not count against the policy in its namespace.
const STRIKES: u32 = 3;
/// Misbehaviours in a row, for any objects of a namespace, that lead to quarantine for all
/// of them: trying every object three times would take long when nothing works any more.
const STRIKES_OF_NAMESPACE: u32 = 30;
/// Maximum number of objects of a namespace for which misbehaviour is remembered.
const OBJECTS: usize = 1_000;
/// Number of namespaces from which on those without a quarantine are forgotten.
const NAMESPACES: usize = 10_000;
const FIRST_BACKOFF_MS: i64 = 30_000;
const LAST_BACKOFF_MS: i64 = 600_000;
/// How long objects for which the policy misbehaved last wait for one of the others to be
/// tried, after a quarantine of several objects.
const PROBATION_MS: i64 = 60_000;
/// Part of the budget from which usage is reported.
const NEAR_BUDGET: f64 = 0.8;

/// The object that a policy is asked about.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub object: &'a str,
    /// Namespace of the object; empty for the node groups, which count by themselves.
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
    /// The namespaces in which it misbehaved.
    namespaces: BTreeMap<String, NamespaceHealth>,
    /// Its quarantine for all objects.
    all: Strikes,
    latest: Timestamp,
}

/// Misbehaviours for the objects of a namespace.
#[derive(Clone, Default)]
struct NamespaceHealth {
    /// Objects for which it misbehaved the last time it was asked.
    objects: BTreeMap<String, Strikes>,
    /// Misbehaviours for all objects of the namespace together.
    all: Strikes,
    /// When the latest quarantine of one of its objects ends or ended.
    last: Timestamp,
    /// Whether the quarantine for all holds its objects.
    is_held_with_all: bool,
}

/// Misbehaviours for an object, or for several.
#[derive(Clone, Default)]
struct Strikes {
    /// Misbehaviours in a row.
    count: u32,
    backoff_ms: i64,
    /// When its latest quarantine ends or ended, and why it began.
    quarantine: Option<(Timestamp, PolicyFailure)>,
}

/// What a quarantine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    Object,
    Namespace,
    All,
}

/// A quarantine that begins, if an event is due: it is for several objects, or for one of a
/// namespace in which none is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub until: Timestamp,
    pub scope: Scope,
}

impl Strikes {
    /// Returns the quarantine in force at a time.
    fn quarantined(&self, now: Timestamp) -> Option<&(Timestamp, PolicyFailure)> {
        self.quarantine.as_ref().filter(|(until, _)| now < *until)
    }

    /// Returns the quarantine that is over, as long as those for which the policy did not
    /// misbehave come first.
    fn on_probation(&self, now: Timestamp) -> Option<(Timestamp, &PolicyFailure)> {
        let (until, failure) = self.quarantine.as_ref()?;
        let end = until.plus(PROBATION_MS);
        (*until..end).contains(&now).then_some((end, failure))
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
        self.quarantine = Some((until, failure.clone()));
        Some(until)
    }
}

impl NamespaceHealth {
    /// Reports whether the policy is quarantined for all of the namespace's objects that it
    /// is asked about.
    fn is_held(&self, now: Timestamp, users: &Users, namespace: &str) -> bool {
        if self.all.quarantined(now).is_some() {
            return true;
        }
        let asked = users.asked_in(namespace);
        !asked.is_empty()
            && self
                .held(now)
                .filter(|object| asked.contains(*object))
                .count()
                == asked.len()
    }

    /// Returns the objects that are quarantined by themselves.
    fn held(&self, now: Timestamp) -> impl Iterator<Item = &String> {
        let objects = self.objects.iter();
        let held = objects.filter(move |(_, strikes)| strikes.quarantined(now).is_some());
        held.map(|(object, _)| object)
    }

    /// Returns the misbehaviours for an object. Returns `None` if too many other objects
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

    /// Reports whether the policy is asked about an object of the namespace for which it did
    /// not misbehave last.
    fn has_others(&self, users: &Users, namespace: &str) -> bool {
        let mut asked = users.asked_in(namespace).iter();
        asked.any(|object| !self.objects.contains_key(object))
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

    /// Returns the widest and longest quarantine in force when the policy was last asked:
    /// its end, and its objects and reason as text.
    pub fn quarantined(&self) -> Option<(Timestamp, String)> {
        let now = self.latest;
        if let Some((until, reason)) = self.all.quarantined(now) {
            return Some((*until, format!("all objects: {reason}")));
        }
        let namespaces = self.namespaces.iter();
        let of_namespaces = namespaces.clone().filter_map(|(namespace, health)| {
            let (until, reason) = health.all.quarantined(now)?;
            Some((*until, namespace, reason))
        });
        let count = of_namespaces.clone().count();
        if let Some((until, namespace, reason)) = of_namespaces.max_by_key(|held| (held.0, held.1))
        {
            let others = and_others(count);
            return Some((until, format!("namespace {namespace}{others}: {reason}")));
        }
        let of_objects = namespaces.flat_map(|(_, health)| &health.objects);
        let of_objects = of_objects.filter_map(|(object, strikes)| {
            let (until, reason) = strikes.quarantined(now)?;
            Some((*until, object, reason))
        });
        let count = of_objects.clone().count();
        let (until, object, reason) = of_objects.max_by_key(|held| (held.0, held.1))?;
        let others = and_others(count);
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

    /// Begins a decision. `users` returns the objects that name the policy.
    ///
    /// # Errors
    /// The quarantine that keeps it from being asked.
    pub fn begin(
        &mut self,
        asker: Asker<'_>,
        now: Timestamp,
        users: impl FnOnce() -> Arc<Users>,
    ) -> Result<(), PolicyFailure> {
        self.began.get_or_insert(now);
        self.latest = self.latest.max(now);
        let Some(health) = self.namespaces.get(asker.namespace) else {
            return Ok(());
        };
        if health.is_held_with_all
            && let Some((until, failure)) = self.all.quarantined(now)
        {
            // Its message is about an object of some other namespace.
            return Err(quarantined(*until, "for all objects", failure.code()));
        }
        let own = health.objects.get(asker.object);
        if let Some((until, failure)) = health.all.quarantined(now) {
            let scope = "for the objects of its namespace";
            return Err(quarantined(*until, scope, &failure.to_string()));
        }
        let Some(own) = own else { return Ok(()) };
        if let Some((until, failure)) = own.quarantined(now) {
            return Err(quarantined(*until, "for it", &failure.to_string()));
        }
        let waits = "for it, unless another object is decided before,";
        if let Some((until, failure)) = health.all.on_probation(now)
            && health.has_others(&users(), asker.namespace)
        {
            return Err(quarantined(until, waits, &failure.to_string()));
        }
        Ok(())
    }

    /// Counts an outcome. `users` returns the objects that name the policy. Returns the
    /// quarantine that begins, if an event is due.
    pub fn end(
        &mut self,
        asker: Asker<'_>,
        now: Timestamp,
        failure: Option<&PolicyFailure>,
        users: impl FnOnce() -> Arc<Users>,
    ) -> Option<Begun> {
        self.decisions += 1;
        self.failures += u64::from(failure.is_some());
        match failure {
            Some(PolicyFailure::InputTooLarge(_)) => None,
            Some(failure) if failure.is_misbehaviour() => {
                self.misbehaved(asker, now, failure, users)
            }
            _ => {
                if failure.is_none() {
                    self.answers_since_replaced =
                        self.answers_since_replaced.map(|count| count + 1);
                }
                self.behaved(asker);
                None
            }
        }
    }

    fn behaved(&mut self, asker: Asker<'_>) {
        self.all = Strikes::default();
        if let Some(health) = self.namespaces.get_mut(asker.namespace) {
            health.objects.remove(asker.object);
            health.all = Strikes::default();
            if health.objects.is_empty() {
                self.namespaces.remove(asker.namespace);
            }
        }
    }

    fn misbehaved(
        &mut self,
        asker: Asker<'_>,
        now: Timestamp,
        failure: &PolicyFailure,
        users: impl FnOnce() -> Arc<Users>,
    ) -> Option<Begun> {
        let health = self.namespace(asker.namespace, now);
        let own = health.strikes(asker.object, now).map(|strikes| {
            let until = strikes.add(now, STRIKES, failure);
            (strikes.count, until)
        });
        let (count, own) = own.unwrap_or((1, None));
        // An object that keeps failing counts as one. After a quarantine of the namespace a
        // single misbehaviour is enough, until an answer succeeds.
        let counts = count <= STRIKES || health.all.backoff_ms > 0;
        let of_namespace = counts
            .then(|| health.all.add(now, STRIKES_OF_NAMESPACE, failure))
            .flatten();
        let is_first = health.last <= now;
        if let Some(until) = own.max(of_namespace) {
            health.last = health.last.max(until);
            if let Some(until) = self.quarantine_for_all(now, failure, &users()) {
                let scope = Scope::All;
                return Some(Begun { until, scope });
            }
        }
        let begun = |scope| move |until| Begun { until, scope };
        let own = own.filter(|_| is_first).map(begun(Scope::Object));
        of_namespace.map(begun(Scope::Namespace)).or(own)
    }

    /// Begins a quarantine for all, if it is quarantined in every namespace in which it is
    /// asked. It holds these namespaces. Returns its end.
    fn quarantine_for_all(
        &mut self,
        now: Timestamp,
        failure: &PolicyFailure,
        users: &Users,
    ) -> Option<Timestamp> {
        if !self.is_held_everywhere(now, users) {
            return None;
        }
        let until = self.all.add(now, 1, failure)?;
        for (namespace, health) in &mut self.namespaces {
            health.is_held_with_all = health.is_held(now, users, namespace);
        }
        Some(until)
    }

    /// Reports whether it is quarantined in every namespace in which it is asked. A single object
    /// counts as all only if there is no other.
    fn is_held_everywhere(&self, now: Timestamp, users: &Users) -> bool {
        let mut asked = users.namespaces().peekable();
        let is_held = |namespace: &str| {
            let health = self.namespaces.get(namespace);
            health.is_some_and(|health| health.is_held(now, users, namespace))
        };
        let failing: usize = self
            .namespaces
            .values()
            .map(|health| health.objects.len())
            .sum();
        failing >= users.count().min(2) && asked.peek().is_some() && asked.all(is_held)
    }

    fn namespace(&mut self, namespace: &str, now: Timestamp) -> &mut NamespaceHealth {
        if self.namespaces.len() >= NAMESPACES && !self.namespaces.contains_key(namespace) {
            self.namespaces.retain(|_, health| now < health.last);
        }
        self.namespaces.entry(namespace.to_owned()).or_default()
    }

    /// Records the used part of the budget. Returns whether it is the first near the
    /// budget.
    pub fn spent(&mut self, share: f64) -> bool {
        let was_near = self.near_budget();
        self.highest_share = self.highest_share.max(share);
        !was_near && self.near_budget()
    }
}

/// Returns the failure of an object that is not decided because of a quarantine. It is the
/// same as long as the quarantine lasts, so that it is reported once.
fn quarantined(until: Timestamp, scope: &str, reason: &str) -> PolicyFailure {
    PolicyFailure::Quarantined(format!(
        "{scope} until {}, after: {reason}",
        until.to_rfc3339()
    ))
}

fn and_others(count: usize) -> String {
    match count.saturating_sub(1) {
        0 => String::new(),
        others => format!(" and {others} more"),
    }
}

#[cfg(test)]
mod tests;
