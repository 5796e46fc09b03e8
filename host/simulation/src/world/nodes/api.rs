//! What the API server does to Nodes, and to pods for a drain.

use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_nodes::ports::{DrainMark, EvictError, Eviction, NodeChange, WriteError};
use flyball_nodes::state::{BudgetFacts, NodeFacts, PodFacts, PodPhase};
use flyball_placement::{Effect, Taint};

use super::{Lost, Nodes, PodKey, budgets};

/// Taint of a node that is drained.
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

/// What an eviction is counted against.
enum Admission {
    /// Nothing: the pod has no budget, or needs none to go.
    Free,
    /// The budget with this uid.
    Budget(Arc<str>),
}

impl Nodes {
    /// Changes a Node.
    pub fn update_node(&mut self, now: Timestamp, change: &NodeChange) -> Result<(), WriteError> {
        let node = self.scheduler.node(&change.name).ok_or(WriteError::Gone)?;
        if change.uid.as_ref().is_some_and(|uid| *uid != node.uid) {
            return Err(WriteError::Gone);
        }
        let mut facts = node.clone();
        let was_drained = is_drained(&facts);
        let mark = facts.annotations.get(DrainMark::ANNOTATION);
        let change = change.resolve(facts.node.unschedulable, mark.map(|mark| &**mark));
        apply(&mut facts, &change)?;
        if facts == *node {
            return Ok(());
        }
        if was_drained && !is_drained(&facts) {
            self.fleet.removals.taken_back += 1;
            self.evicted.remove(&change.name);
        }
        self.scheduler.set_node(now, facts);
        Ok(())
    }

    /// Deletes a Node object, not its instance. Returns its pods, which are lost with it.
    pub fn delete_node(&mut self, name: &str, uid: &str) -> Result<Vec<Lost>, WriteError> {
        let node = self.scheduler.node(name).ok_or(WriteError::Gone)?;
        if *node.uid != *uid {
            return Err(WriteError::Gone);
        }
        self.lingering.retain(|(_, lingering)| **lingering != *name);
        Ok(self.drop_node(name, true))
    }

    /// Admits the eviction of a pod, as the eviction API does, and counts it against the
    /// pod's budget. Returns the workload's pod, which is then to be deleted. `None` for a
    /// pod of a DaemonSet, which is deleted here. `refuses` reports whether evictions of a
    /// workload's pods are refused at the moment.
    pub fn evict(
        &mut self,
        now: Timestamp,
        eviction: &Eviction,
        refuses: impl FnOnce(PodKey) -> bool,
    ) -> Result<Option<PodKey>, EvictError> {
        let daemon = || self.scheduler.find_daemon(&eviction.key);
        let (key, facts) = match self.scheduler.find_pod(&eviction.key) {
            Some((key, facts)) => (Some(key), facts.clone()),
            None => (None, daemon().ok_or(EvictError::Gone)?.clone()),
        };
        let admitted = match key {
            Some(key) if refuses(key) => Err(blocked(eviction, "evictions are refused", None)),
            _ => self.admit(eviction, &facts),
        };
        let admission = admitted.inspect_err(|_| self.fleet.removals.refused += 1)?;
        if let Admission::Budget(uid) = admission {
            self.budgets.spend(self.scheduler.state(), &uid);
        }
        // The API server counts before it compares.
        if facts.uid != eviction.uid {
            return Err(EvictError::Gone);
        }
        match key {
            Some(_) => self.note_evicted(&facts),
            None => {
                let grace_ms = eviction.grace_seconds.map(|seconds| seconds * 1000);
                let grace_ms = grace_ms.unwrap_or(facts.drain.grace_seconds() * 1000);
                let (daemons, state) = self.scheduler.daemons();
                daemons.evict(state, &eviction.key, now, grace_ms);
            }
        }
        Ok(key)
    }

    fn admit(&mut self, eviction: &Eviction, pod: &PodFacts) -> Result<Admission, EvictError> {
        let passes = pod.has_ended() || pod.phase == PodPhase::Pending || pod.deletion.is_some();
        let state = self.scheduler.state();
        let budgets = state.pod(&pod.uid).map(|pod| state.budgets_of(&pod));
        let budgets = budgets.unwrap_or_default();
        let budget = match budgets.only() {
            _ if passes || budgets.count == 0 => return Ok(Admission::Free),
            Some(budget) => state.budget(budget),
            None => {
                let why = "This pod has more than one PodDisruptionBudget, which the eviction \
                           subresource does not support.";
                let message = message(eviction, why);
                return Err(EvictError::SeveralBudgets { message });
            }
        };
        match budget {
            None => Ok(Admission::Free),
            Some(budget) if !pod.ready && budget.passes_unready() => Ok(Admission::Free),
            Some(budget) if budget.allowed() > 0 => Ok(Admission::Budget(Arc::clone(&budget.uid))),
            Some(budget) => {
                let why = budgets::refusal(budget);
                Err(blocked(eviction, &why, Some(budget)))
            }
        }
    }

    fn note_evicted(&mut self, pod: &PodFacts) {
        if !pod.exists() {
            return;
        }
        self.fleet.removals.evictions += 1;
        if let Some(node) = &pod.node {
            let evicted = self.evicted.entry(Arc::clone(node)).or_default();
            evicted.push(pod.key.clone());
        }
    }
}

fn is_drained(facts: &NodeFacts) -> bool {
    let mut taints = facts.node.taints.iter();
    taints.any(|taint| &*taint.key == TO_BE_DELETED)
}

/// Applies a change to a Node.
fn apply(facts: &mut NodeFacts, change: &NodeChange) -> Result<(), WriteError> {
    let node = Arc::make_mut(&mut facts.node);
    node.taints
        .retain(|taint| !change.remove_taints.contains(&taint.key));
    for added in &change.add_taints {
        let effect = match &*added.effect {
            "NoSchedule" => Effect::NoSchedule,
            "PreferNoSchedule" => Effect::PreferNoSchedule,
            "NoExecute" => Effect::NoExecute,
            other => {
                let (name, key) = (&change.name, &added.key);
                let message = format!("patch of node {name}: taint {key} has no effect {other:?}");
                return Err(WriteError::Failed { message });
            }
        };
        let taint = Taint {
            key: Arc::clone(&added.key),
            value: Arc::clone(&added.value),
            effect,
        };
        let same = |known: &&mut Taint| known.key == taint.key && known.effect == effect;
        match node.taints.iter_mut().find(same) {
            Some(known) => *known = taint,
            None => node.taints.push(taint),
        }
    }
    node.unschedulable = change.unschedulable.unwrap_or(node.unschedulable);
    if !change.annotations.is_empty() {
        let annotations = Arc::make_mut(&mut facts.annotations);
        for (key, value) in &change.annotations {
            match value {
                Some(value) => annotations.insert(Arc::clone(key), Arc::clone(value)),
                None => annotations.remove(key),
            };
        }
    }
    Ok(())
}

fn blocked(eviction: &Eviction, why: &str, budget: Option<&BudgetFacts>) -> EvictError {
    EvictError::Blocked {
        message: message(eviction, why),
        budget: budget.map(|budget| budget.key.name.to_string()),
    }
}

fn message(eviction: &Eviction, why: &str) -> String {
    let key = &eviction.key;
    format!("eviction of pod {}/{}: {why}", key.namespace, key.name)
}
