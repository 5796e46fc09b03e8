//! Topology: the domain of each node for each topology key, and the nodes that a spread
//! constraint counts.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::nodes::{NodeId, Nodes, Slot};
use super::static_filters::StaticFilters;
use crate::condition::value_of;
use crate::intern::{Symbol, Symbols, Table};

/// Topology key over which all nodes are in one domain. No label has this key.
pub(super) const WHOLE_CLUSTER: &str = "/";

/// Marks a node that is in no domain because it lacks the label.
const NO_DOMAIN: u32 = u32::MAX;

/// Identifies a view: the nodes that a spread constraint counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ViewKey {
    /// The topology key.
    pub(super) key: u32,
    /// Topology keys that a node must have: the keys of all constraints of the pod.
    pub(super) requires: SmallVec<[u32; 2]>,
    /// Node affinity that a node must match.
    pub(super) affinity: Option<u32>,
    /// Tolerations that must tolerate its taints.
    pub(super) tolerations: Option<u32>,
}

#[derive(Default)]
struct View {
    counted: Vec<bool>,
    /// Number of counted nodes in each domain.
    domains: HashMap<u32, u32>,
}

#[derive(Default)]
pub(super) struct Domains {
    keys: Table<Symbol>,
    values: Vec<Table<Symbol>>,
    /// By key and node.
    columns: Vec<Vec<u32>>,
    /// The keys for which some node is or was in a domain. Pods may name any others.
    held: Vec<u32>,
    /// The key [`WHOLE_CLUSTER`].
    whole_cluster: Option<u32>,
    view_keys: Table<ViewKey>,
    views: Vec<View>,
}

impl Domains {
    /// Interns a topology key.
    pub(super) fn key(&mut self, key: Symbol, nodes: &Nodes, symbols: &Symbols) -> u32 {
        let id = self.keys.intern(key);
        if id as usize == self.columns.len() {
            self.values.push(Table::default());
            self.columns.push(Vec::new());
            if &**symbols.text(key) == WHOLE_CLUSTER {
                self.whole_cluster = Some(id);
            }
            self.enter_nodes(id, key, nodes);
        }
        id
    }

    /// Enters the nodes for a new topology key.
    fn enter_nodes(&mut self, id: u32, key: Symbol, nodes: &Nodes) {
        let is_whole = self.whole_cluster == Some(id);
        if !is_whole && !nodes.have_label(key) {
            return;
        }
        for (node, slot) in nodes.iter() {
            let value = match is_whole {
                true => Some(key),
                false => value_of(&slot.labels, key),
            };
            self.enter(id, node, value);
        }
    }

    /// Number of topology keys.
    pub(super) fn key_count(&self) -> usize {
        self.columns.len()
    }

    /// Returns the topology keys for which some node is or was in a domain.
    pub(super) fn held_keys(&self) -> &[u32] {
        &self.held
    }

    /// Whether some node is or was in a domain of a topology key.
    pub(super) fn holds(&self, key: u32) -> bool {
        !self.columns[key as usize].is_empty()
    }

    fn enter(&mut self, key: u32, node: NodeId, value: Option<Symbol>) {
        let (at, column) = (key as usize, &mut self.columns[key as usize]);
        // A key that no node has takes no memory.
        let Some(value) = value else {
            if let Some(domain) = column.get_mut(node.at()) {
                *domain = NO_DOMAIN;
            }
            return;
        };
        if column.is_empty() {
            self.held.push(key);
        }
        if column.len() <= node.at() {
            column.resize(node.at() + 1, NO_DOMAIN);
        }
        column[node.at()] = self.values[at].intern(value);
    }

    /// Enters a node for all topology keys.
    fn enter_all(&mut self, node: NodeId, slot: &Slot) {
        if self.columns.len() <= slot.labels.len() {
            for id in 0..crate::intern::number(self.columns.len()) {
                let value = value_of(&slot.labels, *self.keys.get(id));
                self.enter(id, node, value);
            }
        } else {
            for (key, value) in &slot.labels {
                if let Some(id) = self.keys.find(key) {
                    self.enter(id, node, Some(*value));
                }
            }
        }
        if let Some(id) = self.whole_cluster {
            self.enter(id, node, Some(*self.keys.get(id)));
        }
    }

    /// Removes a node for all topology keys.
    fn leave_all(&mut self, node: NodeId, slot: &Slot) {
        if self.columns.len() <= slot.labels.len() {
            for id in 0..crate::intern::number(self.columns.len()) {
                self.enter(id, node, None);
            }
            return;
        }
        for (key, _) in &slot.labels {
            if let Some(id) = self.keys.find(key) {
                self.enter(id, node, None);
            }
        }
        if let Some(id) = self.whole_cluster {
            self.enter(id, node, None);
        }
    }

    /// Returns the domain of a node. `None` if it lacks the label.
    pub(super) fn of(&self, key: u32, node: NodeId) -> Option<u32> {
        let domain = self.columns[key as usize].get(node.at()).copied();
        domain.filter(|domain| *domain != NO_DOMAIN)
    }

    /// Number of views.
    pub(super) fn view_count(&self) -> usize {
        self.views.len()
    }

    /// Whether a view is known.
    pub(super) fn has_view(&self, key: &ViewKey) -> bool {
        self.view_keys.find(key).is_some()
    }

    /// Interns a view.
    pub(super) fn view(
        &mut self,
        key: ViewKey,
        nodes: &Nodes,
        statics: &StaticFilters,
        symbols: &Symbols,
    ) -> u32 {
        let id = self.view_keys.intern(key);
        if id as usize == self.views.len() {
            self.views.push(View::default());
            for (node, slot) in nodes.iter() {
                self.count(id, node, slot, statics, symbols);
            }
        }
        id
    }

    fn count(
        &mut self,
        view: u32,
        node: NodeId,
        slot: &Slot,
        statics: &StaticFilters,
        symbols: &Symbols,
    ) {
        let key = self.view_keys.get(view);
        let counted = key.requires.iter().all(|key| self.of(*key, node).is_some())
            && key.affinity.is_none_or(|affinity| {
                statics.affinity_holds(affinity, &slot.labels, slot.name, symbols)
            })
            && key
                .tolerations
                .is_none_or(|tolerations| statics.tolerated(tolerations, &slot.node.taints));
        let domain = self.of(key.key, node);
        let view = &mut self.views[view as usize];
        if view.counted.len() <= node.at() {
            view.counted.resize(node.at() + 1, false);
        }
        view.counted[node.at()] = counted;
        if let Some(domain) = domain.filter(|_| counted) {
            *view.domains.entry(domain).or_default() += 1;
        }
    }

    /// Whether a view includes a node.
    pub(super) fn counts(&self, view: u32, node: NodeId) -> bool {
        let counted = &self.views[view as usize].counted;
        counted.get(node.at()).copied().unwrap_or(false)
    }

    /// Returns the id of a topology key. `None` if no pod uses it.
    pub(super) fn find_key(&self, key: Symbol) -> Option<u32> {
        self.keys.find(&key)
    }

    /// Returns the label key of a topology key.
    pub(super) fn label_of(&self, key: u32) -> Symbol {
        *self.keys.get(key)
    }

    /// Returns the number of domains with a node that a view includes.
    pub(super) fn domains_in(&self, view: u32) -> usize {
        self.views[view as usize].domains.len()
    }

    /// Adds a node that is new or has changed.
    pub(super) fn attach(
        &mut self,
        node: NodeId,
        slot: &Slot,
        statics: &StaticFilters,
        symbols: &Symbols,
    ) {
        self.enter_all(node, slot);
        for view in 0..crate::intern::number(self.views.len()) {
            self.count(view, node, slot, statics, symbols);
        }
    }

    /// Removes a node that is deleted or about to change.
    pub(super) fn detach(&mut self, node: NodeId, slot: &Slot) {
        for at in 0..self.views.len() {
            let key = self.view_keys.get(crate::intern::number(at)).key;
            let domain = self.of(key, node);
            let view = &mut self.views[at];
            let counted = view.counted.get_mut(node.at());
            if !counted.is_some_and(std::mem::take) {
                continue;
            }
            let Some(domain) = domain else { continue };
            if let Some(nodes) = view.domains.get_mut(&domain) {
                *nodes -= 1;
                if *nodes == 0 {
                    view.domains.remove(&domain);
                }
            }
        }
        self.leave_all(node, slot);
    }
}
