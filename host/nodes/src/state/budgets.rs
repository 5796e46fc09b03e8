//! PodDisruptionBudgets, and which pods each of them selects.
//!
//! Pods of one class have one namespace and equal labels, so budgets are matched with
//! classes: when a class gets its first pod, and when a budget comes, goes or selects
//! other pods.

mod matching;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_placement::{ClassId, Cluster, LabelSelector};
use hashbrown::{HashMap, HashSet};

use self::matching::ClassBudgets;
pub use self::matching::{MAX_NAMED_BUDGETS, PodBudgets};
use super::{ClusterState, PodView};

/// A PodDisruptionBudget (policy/v1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetFacts {
    /// metadata.uid.
    pub uid: Arc<str>,
    /// Namespace and name.
    pub key: ObjectKey,
    /// spec.selector. `None` selects no pod; one without requirements selects each pod of
    /// the namespace.
    pub selector: Option<LabelSelector>,
    /// status.disruptionsAllowed. [`Self::allowed`] is what counts.
    pub disruptions_allowed: i32,
    /// Whether the status is that of this spec: status.observedGeneration has reached
    /// metadata.generation. Until then, the API server refuses evictions.
    pub is_current: bool,
    /// Whether spec.unhealthyPodEvictionPolicy is AlwaysAllow.
    pub always_evict_unhealthy: bool,
    /// status.desiredHealthy.
    pub min_healthy: i32,
    /// status.currentHealthy.
    pub current_healthy: i32,
}

impl BudgetFacts {
    /// Returns the number of ready pods that can be evicted now: 0 if the status is not
    /// current.
    #[must_use]
    pub fn allowed(&self) -> i32 {
        if self.is_current {
            self.disruptions_allowed.max(0)
        } else {
            0
        }
    }

    /// Whether pods that run and are not ready can be evicted without a disruption: by
    /// policy AlwaysAllow, or because enough other pods are healthy.
    #[must_use]
    pub fn passes_unready(&self) -> bool {
        let is_healthy = self.min_healthy > 0 && self.current_healthy >= self.min_healthy;
        self.always_evict_unhealthy || is_healthy
    }
}

/// Id of a budget. Never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BudgetId(u32);

struct BudgetEntry {
    facts: BudgetFacts,
    /// Drain revision of its last change.
    changed: u64,
}

/// The budgets and the classes of a namespace.
#[derive(Default)]
struct Namespace {
    /// Ordered by name.
    budgets: Vec<BudgetId>,
    classes: Vec<ClassId>,
}

/// All budgets.
#[derive(Default)]
pub(super) struct BudgetTable {
    entries: BTreeMap<BudgetId, BudgetEntry>,
    by_uid: HashMap<Arc<str>, BudgetId>,
    namespaces: BTreeMap<Arc<str>, Namespace>,
    /// By [`ClassId::index`].
    classes: Vec<ClassBudgets>,
    /// Interned lists of budgets.
    lists: HashSet<Arc<[BudgetId]>>,
    lists_limit: usize,
    next: u32,
    /// Drain revision of the last change of any budget.
    revision: u64,
    unavailable: bool,
}

impl BudgetTable {
    /// Matches a class that has a pod with the budgets, unless it has been.
    pub(super) fn add_class(&mut self, class: ClassId, cluster: &Cluster, revision: u64) {
        let known = self.classes.get(class.index());
        if known.is_some_and(|known| known.changed > 0) {
            return;
        }
        if self.classes.len() <= class.index() {
            self.classes
                .resize_with(class.index() + 1, Default::default);
        }
        let name = cluster.namespace(class);
        if !self.namespaces.contains_key(name) {
            self.namespaces
                .insert(Arc::clone(name), Namespace::default());
        }
        if let Some(namespace) = self.namespaces.get_mut(name) {
            namespace.classes.push(class);
        }
        self.match_class(class, cluster, revision);
    }

    fn apply(&mut self, facts: BudgetFacts, cluster: &Cluster, revision: u64) {
        let known = self.by_uid.get(&facts.uid);
        let known = known.and_then(|id| self.entries.get(id));
        if known.is_some_and(|known| known.facts.key != facts.key) {
            self.delete(&facts.uid, cluster, revision);
        }
        self.revision = revision;
        let namespace = Arc::clone(&facts.key.namespace);
        let entry = |facts| BudgetEntry {
            facts,
            changed: revision,
        };
        if let Some(id) = self.by_uid.get(&facts.uid).copied() {
            let before = self.entries.insert(id, entry(facts));
            let before = before.and_then(|before| before.facts.selector);
            if before.as_ref() != self.selector(id) {
                self.match_budget(id, before.as_ref(), &namespace, cluster, revision);
            }
        } else {
            let id = BudgetId(self.next);
            self.next += 1;
            self.by_uid.insert(Arc::clone(&facts.uid), id);
            let budgets = &mut self
                .namespaces
                .entry(Arc::clone(&namespace))
                .or_default()
                .budgets;
            let name = |id: &BudgetId| self.entries.get(id).map(|entry| &*entry.facts.key.name);
            let at = budgets.partition_point(|id| name(id) <= Some(&*facts.key.name));
            budgets.insert(at, id);
            self.entries.insert(id, entry(facts));
            self.match_budget(id, None, &namespace, cluster, revision);
        }
    }

    fn delete(&mut self, uid: &str, cluster: &Cluster, revision: u64) {
        let Some(id) = self.by_uid.remove(uid) else {
            return;
        };
        self.revision = revision;
        if let Some(entry) = self.entries.remove(&id) {
            let name = &entry.facts.key.namespace;
            if let Some(namespace) = self.namespaces.get_mut(name) {
                namespace.budgets.retain(|known| *known != id);
            }
            let before = entry.facts.selector.as_ref();
            self.match_budget(id, before, name, cluster, revision);
        }
    }

    fn of_class(&self, class: ClassId) -> PodBudgets<'_> {
        let known = self.classes.get(class.index());
        known.map(ClassBudgets::of_pod).unwrap_or_default()
    }

    /// Replaces class ids after a compaction.
    pub(super) fn renumber(&mut self, numbers: &BTreeMap<ClassId, ClassId>) {
        let mut before = std::mem::take(&mut self.classes);
        let most = numbers.values().map(|class| class.index() + 1).max();
        self.classes
            .resize_with(most.unwrap_or(0), Default::default);
        for (old, new) in numbers {
            if let Some(known) = before.get_mut(old.index()) {
                self.classes[new.index()] = std::mem::take(known);
            }
        }
        for namespace in self.namespaces.values_mut() {
            let classes = std::mem::take(&mut namespace.classes).into_iter();
            namespace.classes = classes
                .filter_map(|class| numbers.get(&class).copied())
                .collect();
        }
        self.namespaces
            .retain(|_, known| !known.classes.is_empty() || !known.budgets.is_empty());
    }

    /// Returns what has changed after a drain revision. `None` if nothing has.
    pub(super) fn changes(&self, since: u64) -> Option<BudgetChanges<'_>> {
        let changed = self.entries.iter();
        let changed = changed.filter(|(_, entry)| entry.changed > since);
        (self.revision > since).then(|| BudgetChanges {
            table: self,
            since,
            changed: changed.map(|(id, _)| *id).collect(),
        })
    }
}

/// The budgets that have changed after a drain revision.
pub(super) struct BudgetChanges<'a> {
    table: &'a BudgetTable,
    since: u64,
    changed: BTreeSet<BudgetId>,
}

impl BudgetChanges<'_> {
    /// Whether a named budget of the class has changed, or which budgets it has.
    pub(super) fn concern(&self, class: ClassId) -> bool {
        let known = self.table.classes.get(class.index());
        known.is_some_and(|known| {
            let mut named = known.named().iter();
            known.changed > self.since || named.any(|id| self.changed.contains(id))
        })
    }
}

impl ClusterState {
    /// Adds or updates a PodDisruptionBudget.
    pub fn apply_budget(&mut self, facts: BudgetFacts) {
        let id = self.budgets.by_uid.get(&facts.uid);
        if id.and_then(|id| self.budget(*id)) == Some(&facts) {
            return;
        }
        self.count_drain_change();
        self.budgets
            .apply(facts, &self.cluster, self.drain_revision);
    }

    /// Removes a PodDisruptionBudget.
    pub fn delete_budget(&mut self, uid: &str) {
        if self.budgets.by_uid.contains_key(uid) {
            self.count_drain_change();
            self.budgets.delete(uid, &self.cluster, self.drain_revision);
        }
    }

    /// All PodDisruptionBudgets, ordered by namespace and name.
    pub fn budgets(&self) -> impl Iterator<Item = (BudgetId, &BudgetFacts)> {
        let namespaces = self.budgets.namespaces.values();
        let ids = namespaces.flat_map(|namespace| &namespace.budgets);
        ids.filter_map(|id| Some((*id, self.budget(*id)?)))
    }

    /// A PodDisruptionBudget. `None` if it is gone.
    #[must_use]
    pub fn budget(&self, id: BudgetId) -> Option<&BudgetFacts> {
        self.budgets.entries.get(&id).map(|entry| &entry.facts)
    }

    /// The PodDisruptionBudgets that select a pod.
    #[must_use]
    pub fn budgets_of(&self, pod: &PodView<'_>) -> PodBudgets<'_> {
        self.budgets.of_class(pod.class)
    }

    /// Drain revision of the last change of a budget. 0 if it is gone.
    #[must_use]
    pub fn budget_changed(&self, id: BudgetId) -> u64 {
        let entry = self.budgets.entries.get(&id);
        entry.map_or(0, |entry| entry.changed)
    }

    /// Drain revision of the last change of any budget.
    #[must_use]
    pub fn budgets_revision(&self) -> u64 {
        self.budgets.revision
    }

    /// Whether all existing budgets are known. If not, nothing follows from a pod without
    /// budgets.
    #[must_use]
    pub fn budgets_known(&self) -> bool {
        !self.budgets.unavailable
    }

    /// Notes that budgets cannot be read, for want of a right.
    pub fn set_budgets_unavailable(&mut self) {
        if !std::mem::replace(&mut self.budgets.unavailable, true) {
            self.count_drain_change_of_all();
        }
    }

    /// Notes that budgets can be read, as is assumed from the start.
    pub fn set_budgets_available(&mut self) {
        if std::mem::take(&mut self.budgets.unavailable) {
            self.count_drain_change_of_all();
        }
    }
}
