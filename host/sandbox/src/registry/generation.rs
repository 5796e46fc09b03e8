//! One version of a policy under its name: counts its decisions, and quarantines it for
//! objects for which it repeatedly misbehaves. Its predecessors go on deciding about
//! objects for which it gives no answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, ExpanderRanking};
use flyball_decision::policy::{
    Budget, Description, NODE_GROUPS, Policy, PolicyOutcome, PolicyVersion, RolledBack, Usage,
};
use flyball_decision::replica::{ReplicaDecision, ReplicaInput};
use flyball_decision::scale_down::{
    MoveVerdicts, NodeVerdicts, PodVerdicts, ScaleDownMovesInput, ScaleDownNodesInput,
    ScaleDownPodsInput,
};
use flyball_decision::time::Timestamp;

use crate::compile::CompileHandle;
use crate::policy::{self, CheckedContext, CompiledPolicy, NamespaceChecks};
use crate::registry::health::{Asker, Begun, Health, Scope};
use crate::registry::reconcile::Shared;
use crate::registry::status::{PolicyEvent, PolicySource};
use crate::registry::trial::Trial;
use crate::registry::users::Users;

/// Maximum number of predecessors that are kept for objects which need them.
const MAX_PREDECESSORS: usize = 3;

/// Who asks expanders and scale-down policies.
const NODES: Asker<'static> = Asker {
    object: NODE_GROUPS,
    namespace: "",
};

/// A policy's code as the registry returns it to callers.
pub(super) struct Generation {
    pub policy: Arc<CompiledPolicy>,
    pub source: PolicySource,
    pub number: u64,
    /// Result of its trial on recorded inputs.
    pub trial: Option<Trial>,
    /// Whether it is new, and so rolled back if it is quarantined for all objects.
    is_new: bool,
    /// The newer version that was rolled back to this one.
    rolled_back: Option<RolledBack>,
    /// Earlier versions, the latest first.
    predecessors: Mutex<Vec<Arc<Generation>>>,
    /// Compilations of earlier versions; dropped, and so cancelled, with this one.
    predecessor_compilations: Mutex<Vec<CompileHandle>>,
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
            predecessor_compilations: Mutex::default(),
            registry: Weak::clone(registry),
            health: Mutex::default(),
        }
    }

    /// Sets the earlier versions, the latest first.
    pub fn after(mut self, predecessors: Vec<Arc<Self>>) -> Self {
        let digest = &self.version().digest;
        let mut others = predecessors;
        others.retain(|other| other.version().digest != *digest);
        others.truncate(MAX_PREDECESSORS);
        self.predecessors = Mutex::new(others);
        self
    }

    /// Adds an earlier version at its place in this order. Does nothing if this version
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
        predecessors.truncate(MAX_PREDECESSORS);
    }

    /// Keeps the compilation of an earlier version running as long as this version
    /// exists.
    pub fn await_predecessor(&self, handle: Option<CompileHandle>) {
        let predecessor_compilations = self.predecessor_compilations.lock();
        predecessor_compilations
            .unwrap_or_else(PoisonError::into_inner)
            .extend(handle);
    }

    /// Marks it as a new version. `began` is when it was first asked, if that was before
    /// a restart; `trial` is the result of its trial.
    pub fn into_new_version(mut self, began: Option<Timestamp>, trial: Option<Trial>) -> Self {
        self.is_new = true;
        self.trial = trial;
        self.health = Mutex::new(Health::since(began));
        self
    }

    /// Marks it as the version that a newer one was rolled back to.
    pub fn in_place_of(mut self, rolled_back: RolledBack) -> Self {
        self.rolled_back = Some(rolled_back);
        self
    }

    pub fn health(&self) -> Health {
        self.lock().clone()
    }

    /// Returns when it was asked first.
    pub fn began(&self) -> Option<Timestamp> {
        self.lock().began
    }

    /// Returns the earlier versions, the latest first.
    pub fn predecessors(&self) -> Vec<Arc<Self>> {
        let predecessors = self.predecessors.lock();
        predecessors.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the predecessors of the version that replaces this one: this one, unless
    /// it is quarantined for all, and those before it that had to stand in for it. This
    /// version drops its own, or every version there ever was would stay in memory.
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

    /// Asks the policy unless it is quarantined, and counts the outcome.
    fn ask<A>(
        &self,
        asker: Asker<'_>,
        context: &Context,
        ask: impl FnOnce(&CompiledPolicy, CheckedContext<'_>) -> PolicyOutcome<A>,
    ) -> PolicyOutcome<A> {
        let registry = self.registry.upgrade();
        let users = || self.users(registry.as_deref());
        // The configurations of node groups are the operator's, and a pass is no tick.
        let of_tick = registry
            .as_deref()
            .filter(|_| asker.namespace != NODES.namespace);
        let checks = of_tick.map(|registry| NamespaceChecks {
            namespace: asker.namespace,
            of_tick: &registry.checks,
        });
        // Checked before anything is counted: an object's bad configuration says nothing
        // about the policy's health.
        let checked = self.policy.check_decision(context, checks);
        let begun = checked.and_then(|checked| {
            self.lock().begin(asker, context.now, users)?;
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
        let users = || self.users(registry.as_deref());
        let (quarantine, near, began) = {
            let mut health = self.lock();
            let quarantine = health.end(asker, now, failure, users);
            (quarantine, health.spent(share), health.began)
        };
        let Some(registry) = registry else { return };
        let version = || Arc::clone(self.version());
        if near {
            let version = version();
            registry.publish(&PolicyEvent::NearBudget { version, share });
        }
        let (Some(Begun { until, scope }), Some(failure)) = (quarantine, failure) else {
            return;
        };
        let Asker { object, namespace } = asker;
        let of_object = format!("{object}: {failure}");
        let reason = match scope {
            Scope::Object => of_object,
            Scope::Namespace => format!("all objects of namespace {namespace}, lastly {of_object}"),
            Scope::All => format!("all objects, lastly {of_object}"),
        };
        registry.publish(&PolicyEvent::Quarantined {
            version: version(),
            until,
            reason,
        });
        if scope == Scope::All && self.is_new && registry.is_within_window(began, now) {
            let version = self.version();
            // All users of the policy read it: it has nothing of another tenant's object.
            let reason = format!(
                "version {} ({}) was quarantined for all objects, lastly for {}",
                version.version,
                version.short_digest(),
                failure.code(),
            );
            registry.roll_back(&version.name, &version.digest, &reason);
        }
    }

    /// Returns the objects that name the policy.
    fn users(&self, registry: Option<&Shared>) -> Arc<Users> {
        registry.map_or_else(Arc::default, |registry| {
            registry.users(&self.version().name)
        })
    }
}

/// Returns the part of its budget that a decision used, of fuel or of memory.
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

    fn answers(&self, interface: &str) -> bool {
        self.policy.answers(interface)
    }

    fn predecessors(&self) -> Vec<Arc<dyn Policy>> {
        let predecessors = Self::predecessors(self).into_iter();
        predecessors.map(|predecessor| predecessor as _).collect()
    }

    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        let asker = Asker {
            object: &input.target.to_string(),
            namespace: &input.target.namespace,
        };
        self.ask(asker, context, |policy, checked| {
            policy.decide_checked(checked, input)
        })
    }

    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        self.ask(NODES, context, |policy, checked| {
            policy.rank_checked(checked, input)
        })
    }

    fn judge_pods(
        &self,
        context: &Context,
        input: &ScaleDownPodsInput,
    ) -> PolicyOutcome<PodVerdicts> {
        self.ask(NODES, context, |policy, checked| {
            policy.judge_pods_checked(checked, input)
        })
    }

    fn judge_nodes(
        &self,
        context: &Context,
        input: &ScaleDownNodesInput,
    ) -> PolicyOutcome<NodeVerdicts> {
        self.ask(NODES, context, |policy, checked| {
            policy.judge_nodes_checked(checked, input)
        })
    }

    fn judge_moves(
        &self,
        context: &Context,
        input: &ScaleDownMovesInput,
    ) -> PolicyOutcome<MoveVerdicts> {
        self.ask(NODES, context, |policy, checked| {
            policy.judge_moves_checked(checked, input)
        })
    }
}
