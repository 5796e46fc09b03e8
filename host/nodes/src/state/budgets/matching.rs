//! Which budgets select the pods of a class.
//!
//! The eviction API evicts no pod that several budgets select, so it is enough to know the
//! only budget of a class, or that there are several, and a few to name. Lists of all of them
//! would take the product of the budgets and the classes of a namespace.

use std::sync::Arc;

use flyball_placement::{ClassId, Cluster, LabelSelector};

use super::{BudgetId, BudgetTable};
use crate::state::pod_table::intern;

/// Maximum number of budgets of a pod that are known one by one. Of further ones, only their
/// number is.
pub const MAX_NAMED_BUDGETS: usize = 8;

/// About how many selectors are tested with each change of a budget to name other budgets in place of
/// those that went: so many, and so many more for each class of the namespace. If they do not
/// suffice, some classes have fewer names than they could, until a budget comes, goes or
/// selects other pods.
const MIN_TESTS: usize = 100_000;
const TESTS_PER_CLASS: usize = 16;

/// The PodDisruptionBudgets that select a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodBudgets<'a> {
    /// How many there are.
    pub count: u32,
    /// Some of them, ordered by name: at most [`MAX_NAMED_BUDGETS`], and usually the first.
    /// If there is only one, it is named.
    pub named: &'a [BudgetId],
}

impl PodBudgets<'_> {
    /// Returns the budget if there is only one.
    #[must_use]
    pub fn only(&self) -> Option<BudgetId> {
        match *self.named {
            [budget] if self.count == 1 => Some(budget),
            _ => None,
        }
    }
}

/// The budgets of a class.
#[derive(Clone, Default)]
pub(super) struct ClassBudgets {
    /// As [`PodBudgets::named`]. `None` if there are none.
    named: Option<Arc<[BudgetId]>>,
    /// Drain revision at which they changed last. 0 if no pod has had the class.
    pub(super) changed: u64,
    /// How many there are.
    count: u32,
    /// The ids of all of them, combined by exclusive or. If all but one are named, this gives
    /// the other one.
    combined: u32,
}

impl ClassBudgets {
    pub(super) fn of_pod(&self) -> PodBudgets<'_> {
        PodBudgets {
            count: self.count,
            named: self.named(),
        }
    }

    pub(super) fn named(&self) -> &[BudgetId] {
        self.named.as_deref().unwrap_or_default()
    }

    /// How many could be named and are not.
    fn unnamed(&self) -> usize {
        let most = MAX_NAMED_BUDGETS.min(self.count as usize);
        most.saturating_sub(self.named().len())
    }
}

impl BudgetTable {
    /// Finds the budgets of a new class.
    pub(super) fn match_class(&mut self, class: ClassId, cluster: &Cluster, revision: u64) {
        let ids = self.budgets_near(class, cluster).iter().copied();
        let selecting = ids.filter(|id| selects(self.selector(*id), class, cluster));
        let mut found: Vec<BudgetId> = selecting.collect();
        let budgets = ClassBudgets {
            count: u32::try_from(found.len()).unwrap_or(u32::MAX),
            combined: found.iter().fold(0, |all, id| all ^ id.0),
            ..ClassBudgets::default()
        };
        found.truncate(MAX_NAMED_BUDGETS);
        self.set_budgets(class, budgets, found, revision);
    }

    /// Finds the classes of a budget that is new, gone, or has another selector. `before` is
    /// the selector that it had.
    pub(super) fn match_budget(
        &mut self,
        id: BudgetId,
        before: Option<&LabelSelector>,
        namespace: &str,
        cluster: &Cluster,
        revision: u64,
    ) {
        let Some(known) = self.namespaces.get_mut(namespace) else {
            return;
        };
        let classes = std::mem::take(&mut known.classes);
        let mut tests = MIN_TESTS + TESTS_PER_CLASS * classes.len();
        for &class in &classes {
            let was_selected = selects(before, class, cluster);
            let is_selected = selects(self.selector(id), class, cluster);
            let Some(known) = self.classes.get(class.index()) else {
                continue;
            };
            let stays = was_selected == is_selected;
            if stays && (known.unnamed() == 0 || tests == 0) {
                continue;
            }
            let mut budgets = known.clone();
            let mut named = known.named().to_vec();
            if !stays {
                budgets.combined ^= id.0;
                if is_selected {
                    budgets.count = budgets.count.saturating_add(1);
                    self.insert(&mut named, id);
                } else {
                    budgets.count = budgets.count.saturating_sub(1);
                    named.retain(|known| *known != id);
                }
            }
            self.name_others(class, &budgets, &mut named, cluster, &mut tests);
            self.set_budgets(class, budgets, named, revision);
        }
        if let Some(known) = self.namespaces.get_mut(namespace) {
            known.classes = classes;
            if known.classes.is_empty() && known.budgets.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
    }

    /// Names further budgets of a class if too few are named, with about so many tests of
    /// selectors at most.
    fn name_others(
        &self,
        class: ClassId,
        budgets: &ClassBudgets,
        named: &mut Vec<BudgetId>,
        cluster: &Cluster,
        tests: &mut usize,
    ) {
        let missing = (budgets.count as usize).saturating_sub(named.len());
        if missing == 0 || named.len() >= MAX_NAMED_BUDGETS {
            return;
        }
        if missing == 1 {
            let last = named.iter().fold(budgets.combined, |left, id| left ^ id.0);
            self.insert(named, BudgetId(last));
            return;
        }
        if *tests == 0 {
            return;
        }
        let ids = self.budgets_near(class, cluster).iter().copied();
        let selecting = ids.filter(|id| {
            *tests = tests.saturating_sub(1);
            selects(self.selector(*id), class, cluster)
        });
        *named = selecting.take(MAX_NAMED_BUDGETS).collect();
    }

    /// Adds a budget to names in their order, of which the first are kept.
    fn insert(&self, named: &mut Vec<BudgetId>, id: BudgetId) {
        let place = |id: BudgetId| (self.name(id), id);
        let at = named.partition_point(|known| place(*known) < place(id));
        named.insert(at, id);
        named.truncate(MAX_NAMED_BUDGETS);
    }

    /// The budgets of a class's namespace, ordered by name.
    fn budgets_near(&self, class: ClassId, cluster: &Cluster) -> &[BudgetId] {
        let namespace = self.namespaces.get(cluster.namespace(class));
        namespace.map_or(&[][..], |namespace| &namespace.budgets)
    }

    /// `None` if the budget selects no pod, or is gone.
    pub(super) fn selector(&self, id: BudgetId) -> Option<&LabelSelector> {
        self.entries.get(&id)?.facts.selector.as_ref()
    }

    fn name(&self, id: BudgetId) -> Option<&str> {
        self.entries.get(&id).map(|entry| &*entry.facts.key.name)
    }

    fn set_budgets(
        &mut self,
        class: ClassId,
        budgets: ClassBudgets,
        named: Vec<BudgetId>,
        revision: u64,
    ) {
        let mut list: Option<Arc<[BudgetId]>> = (!named.is_empty()).then(|| named.into());
        if let Some(list) = &mut list {
            intern(&mut self.lists, &mut self.lists_limit, list);
        }
        if let Some(known) = self.classes.get_mut(class.index()) {
            *known = ClassBudgets {
                named: list,
                changed: revision,
                ..budgets
            };
        }
    }
}

/// Whether a selector selects the pods of a class. Without one, it selects none.
fn selects(selector: Option<&LabelSelector>, class: ClassId, cluster: &Cluster) -> bool {
    selector.is_some_and(|selector| selector.selects(|key| cluster.label(class, key)))
}
