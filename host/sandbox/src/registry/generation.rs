//! One version of a policy under its name: it decides, is counted, and is kept
//! from deciding about an object when it misbehaves for it again and again. The
//! versions before it go on deciding about objects for which it gives no answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use flyball_core::nodes::expander::{ExpanderInput, ExpanderRanking};
use flyball_core::policy::{
    Budget, Description, ExpanderPolicy, NODE_GROUPS, Policy, PolicyOutcome, PolicyVersion,
    ReplicaPolicy, RolledBack, Usage, kind,
};
use flyball_core::replica::{Context, ReplicaDecision, ReplicaInput};
use flyball_core::time::Timestamp;

use crate::compile::Ticket;
use crate::policy::{self, Checked, CompiledPolicy};
use crate::registry::health::{Asker, Health};
use crate::registry::reconcile::Shared;
use crate::registry::status::{PolicyEvent, PolicySource};
use crate::registry::trial::Trial;

/// Most versions before the active one that are kept for objects which need them.
const MOST_PREDECESSORS: usize = 3;

/// A policy's code as the registry hands it out.
pub(super) struct Generation {
    pub policy: Arc<CompiledPolicy>,
    pub source: PolicySource,
    pub number: u64,
    /// Result of its trial on recorded inputs.
    pub trial: Option<Trial>,
    /// Whether it is rolled back if it is quarantined for all soon: it is new.
    is_new: bool,
    /// The newer version that it came back in place of.
    rolled_back: Option<RolledBack>,
    /// Versions before it, the latest first.
    predecessors: Mutex<Vec<Arc<Generation>>>,
    /// Versions before it that are being compiled: they are ended with it.
    awaited: Mutex<Vec<Ticket>>,
    registry: Weak<Shared>,
    health: Mutex<Health>,
}

impl Generation {
    pub fn new(policy: Arc<CompiledPolicy>, source: PolicySource, registry: &Weak<Shared>) -> Self {
        Self {
            policy,
            source,
            number: 0,
            trial: None,
            is_new: false,
            rolled_back: None,
            predecessors: Mutex::default(),
            awaited: Mutex::default(),
            registry: Weak::clone(registry),
            health: Mutex::default(),
        }
    }

    /// Sets the versions before it, the latest first.
    pub fn after(mut self, predecessors: Vec<Arc<Self>>) -> Self {
        let digest = &self.version().digest;
        let mut others = predecessors;
        others.retain(|other| other.version().digest != *digest);
        others.truncate(MOST_PREDECESSORS);
        self.predecessors = Mutex::new(others);
        self
    }

    /// Adds a version before it, at its place in this order. Does nothing if this version
    /// was itself replaced.
    pub fn attach(&self, predecessor: Arc<Self>, order: &[String]) {
        let digest = Arc::clone(&predecessor.version().digest);
        if self.lock().is_replaced() || digest == self.version().digest {
            return;
        }
        let place = |one: &Arc<Self>| {
            let digest = &one.version().digest;
            order.iter().position(|other| **other == **digest)
        };
        let predecessors = self.predecessors.lock();
        let mut predecessors = predecessors.unwrap_or_else(PoisonError::into_inner);
        predecessors.retain(|other| other.version().digest != digest);
        predecessors.push(predecessor);
        predecessors.sort_by_key(place);
        predecessors.truncate(MOST_PREDECESSORS);
    }

    /// Keeps the compilation of a version before it going as long as this one exists.
    pub fn await_predecessor(&self, ticket: Option<Ticket>) {
        let awaited = self.awaited.lock();
        awaited
            .unwrap_or_else(PoisonError::into_inner)
            .extend(ticket);
    }

    /// Marks it as a new version. `began` is when it was first asked, if that was before
    /// a restart; `trial` is the result of its trial.
    pub fn into_new_version(mut self, began: Option<Timestamp>, trial: Option<Trial>) -> Self {
        self.is_new = true;
        self.trial = trial;
        self.health = Mutex::new(Health::since(began));
        self
    }

    /// Marks it as one that came back in place of a newer version.
    pub fn in_place_of(mut self, rolled_back: RolledBack) -> Self {
        self.rolled_back = Some(rolled_back);
        self
    }

    pub fn health(&self) -> Health {
        self.lock().clone()
    }

    /// When it was asked first.
    pub fn began(&self) -> Option<Timestamp> {
        self.lock().began
    }

    /// Versions before it, the latest first.
    pub fn predecessors(&self) -> Vec<Arc<Self>> {
        let predecessors = self.predecessors.lock();
        predecessors.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the versions before the one that replaces it: this one, unless it is of no
    /// use to anybody, and those before it that had to stand in for it. It keeps none
    /// itself, or every version there ever was would stay.
    pub fn hand_down(this: &Arc<Self>) -> Vec<Arc<Self>> {
        let predecessors = this.predecessors.lock();
        let mut earlier =
            std::mem::take(&mut *predecessors.unwrap_or_else(PoisonError::into_inner));
        if this.lock().is_quarantined_for_all() {
            return earlier;
        }
        earlier.retain(|earlier| earlier.lock().stood_in());
        earlier.insert(0, Arc::clone(this));
        this.lock().replaced();
        earlier
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn predecessors_of_kind(&self, kind: &str) -> Vec<Arc<Self>> {
        let mut predecessors = self.predecessors();
        predecessors.retain(|predecessor| predecessor.description().has_kind(kind));
        predecessors
    }

    /// Asks, unless the policy is kept from deciding, and counts what came of it.
    fn ask<A>(
        &self,
        asker: Asker<'_>,
        context: &Context,
        ask: impl FnOnce(&CompiledPolicy, Checked<'_>) -> PolicyOutcome<A>,
    ) -> PolicyOutcome<A> {
        // Before anything is counted: an object's bad configuration says nothing of
        // the policy's health.
        let begun = self.policy.check_decision(context).and_then(|checked| {
            self.lock().begin(asker.object, context.now)?;
            Ok(checked)
        });
        let checked = match begun {
            Ok(checked) => checked,
            Err(failure) => return policy::not_asked(failure),
        };
        let outcome = ask(&self.policy, checked);
        self.count(asker, context.now, &outcome);
        outcome
    }

    fn count<A>(&self, asker: Asker<'_>, now: Timestamp, outcome: &PolicyOutcome<A>) {
        let failure = outcome.answer.as_ref().err();
        let share = share(&outcome.usage, &self.budget());
        let registry = self.registry.upgrade();
        let users = || {
            let registry = registry.as_ref();
            registry.map_or_else(Arc::default, |registry| {
                registry.users(&self.version().name)
            })
        };
        let (ended, near, began) = {
            let mut health = self.lock();
            let ended = health.end(asker, now, failure, users);
            (ended, health.spent(share), health.began)
        };
        let Some(registry) = registry else { return };
        let version = || Arc::clone(self.version());
        if near {
            let version = version();
            registry.publish(&PolicyEvent::NearBudget { version, share });
        }
        let reason = || {
            failure.map_or_else(String::new, |failure| {
                format!("{}: {failure}", asker.object)
            })
        };
        if let Some(until) = ended.quarantined {
            registry.publish(&PolicyEvent::Quarantined {
                version: version(),
                until,
                reason: reason(),
            });
        }
        if ended.for_all && self.is_new && registry.is_within_window(began, now) {
            let version = self.version();
            let reason = format!(
                "version {} ({}) was quarantined for all objects, {}",
                version.version,
                version.short_digest(),
                reason()
            );
            registry.roll_back(&version.name, &version.digest, &reason);
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

    fn rolled_back(&self) -> Option<&RolledBack> {
        self.rolled_back.as_ref()
    }
}

impl ReplicaPolicy for Generation {
    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        let asker = Asker {
            object: &input.target.to_string(),
            namespace: &input.target.namespace,
        };
        self.ask(asker, context, |policy, checked| {
            policy.decide_checked(checked, input)
        })
    }

    fn predecessors(&self) -> Vec<Arc<dyn ReplicaPolicy>> {
        let predecessors = self.predecessors_of_kind(kind::REPLICA).into_iter();
        predecessors.map(|predecessor| predecessor as _).collect()
    }
}

impl ExpanderPolicy for Generation {
    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        let asker = Asker {
            object: NODE_GROUPS,
            namespace: "",
        };
        self.ask(asker, context, |policy, checked| {
            policy.rank_checked(checked, input)
        })
    }

    fn predecessors(&self) -> Vec<Arc<dyn ExpanderPolicy>> {
        let predecessors = self.predecessors_of_kind(kind::EXPANDER).into_iter();
        predecessors.map(|predecessor| predecessor as _).collect()
    }
}
