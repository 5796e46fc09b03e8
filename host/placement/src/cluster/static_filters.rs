//! Filters that do not depend on the pods of a node: NodeUnschedulable, NodeName,
//! TaintToleration and NodeAffinity.
//!
//! Nodes that no known pod can distinguish, except by name, are of one kind. The
//! verdict on a pod and a kind is cached.

use std::sync::atomic::{AtomicU8, Ordering};

use hashbrown::HashSet;

use crate::condition::{Condition, LabelSet, all_hold, label_set};
use crate::intern::{Symbol, Symbols, Table};
use crate::{
    Effect, Labels, Name, NodeSelectorTerm, Operator, Pod, Taint, Toleration, TolerationOperator,
};

/// Key of the taint of a cordoned node.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The first of these filters that rejects a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StaticMisfit {
    Unschedulable,
    NodeName,
    Taint,
    NodeAffinity,
}

/// Properties that all nodes of a kind share.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeKind {
    /// Labels whose keys some pod's node selector or node affinity uses.
    pub(super) labels: LabelSet,
    pub(super) taints: Box<[Taint]>,
    pub(super) unschedulable: bool,
}

/// Node selector and required node affinity of a pod.
#[derive(Debug)]
struct NodeAffinity {
    selector: LabelSet,
    terms: Option<Box<[Term]>>,
    /// The only candidate nodes, if every term names some.
    named: Option<Box<[Symbol]>>,
    /// Whether a term refers to node names.
    by_name: bool,
}

#[derive(Debug)]
struct Term {
    conditions: Box<[Condition]>,
    /// Node names that must match (true) or must not match (false).
    names: Box<[(bool, Symbol)]>,
    never: bool,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AffinityKey {
    selector: Labels,
    terms: Option<Vec<NodeSelectorTerm>>,
}

/// Static requirements of the pods of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct StaticKey {
    pub(super) tolerations: u32,
    pub(super) affinity: u32,
    node_name: Option<Symbol>,
}

#[derive(Default)]
pub(super) struct StaticFilters {
    tolerations: Table<Vec<Toleration>>,
    affinity_keys: Table<AffinityKey>,
    affinities: Vec<NodeAffinity>,
    statics: Table<StaticKey>,
    kinds: Table<NodeKind>,
    /// Keys of node labels that some pod's node selector or node affinity uses.
    used_keys: HashSet<Symbol>,
    /// Cached verdicts by static id and kind, encoded as in `decode_verdict`.
    verdicts: Vec<Vec<AtomicU8>>,
}

impl StaticFilters {
    /// Interns a pod's static requirements. Also returns whether the pod uses label keys
    /// that no pod used before, and for one of which `is_on_nodes` returns true.
    pub(super) fn intern(
        &mut self,
        pod: &Pod,
        symbols: &mut Symbols,
        is_on_nodes: impl Fn(Symbol) -> bool,
    ) -> (u32, bool) {
        let tolerations = self.tolerations.intern_as(
            pod.tolerations.as_slice(),
            |known: &Vec<Toleration>| known.as_slice(),
            || pod.tolerations.clone(),
        );
        let (affinity, divides_kinds) = self.affinity(pod, symbols, is_on_nodes);
        let node_name = pod.node_name.as_ref().map(|name| symbols.intern(name));
        let id = self.statics.intern(StaticKey {
            tolerations,
            affinity,
            node_name,
        });
        let kinds = self.kinds.len();
        self.verdicts
            .resize_with(self.statics.len(), || unknown_verdicts(kinds));
        (id, divides_kinds)
    }

    /// Notes the label keys that a pod uses, before any node is known.
    pub(super) fn read_keys(&mut self, pod: &Pod, symbols: &mut Symbols) {
        let affinity = NodeAffinity::new(pod, symbols);
        self.used_keys.extend(affinity.keys());
    }

    fn affinity(
        &mut self,
        pod: &Pod,
        symbols: &mut Symbols,
        is_on_nodes: impl Fn(Symbol) -> bool,
    ) -> (u32, bool) {
        let id = self.affinity_keys.intern(AffinityKey {
            selector: pod.node_selector.clone(),
            terms: pod.node_affinity.clone(),
        });
        let mut divides_kinds = false;
        if id as usize == self.affinities.len() {
            let affinity = NodeAffinity::new(pod, symbols);
            for key in affinity.keys() {
                divides_kinds |= self.used_keys.insert(key) && is_on_nodes(key);
            }
            self.affinities.push(affinity);
        }
        (id, divides_kinds)
    }

    /// Returns the kind of a node with these labels. When [`Self::intern`] reports new
    /// label keys of nodes, the kinds of all nodes must be determined again.
    pub(super) fn kind(
        &mut self,
        labels: &[(Symbol, Symbol)],
        taints: &[Taint],
        unschedulable: bool,
    ) -> u32 {
        let known = self.kinds.len();
        let read = labels
            .iter()
            .filter(|(key, _)| self.used_keys.contains(key));
        let kind = self.kinds.intern(NodeKind {
            labels: read.copied().collect(),
            taints: taints.into(),
            unschedulable,
        });
        if self.kinds.len() > known {
            for verdicts in &mut self.verdicts {
                verdicts.push(AtomicU8::default());
            }
        }
        kind
    }

    /// Whether some pod's node selector or node affinity uses this label key.
    pub(super) fn uses_label(&self, key: Symbol) -> bool {
        self.used_keys.contains(&key)
    }

    /// Number of node kinds.
    pub(super) fn kind_count(&self) -> usize {
        self.kinds.len()
    }

    pub(super) fn get(&self, id: u32) -> StaticKey {
        *self.statics.get(id)
    }

    /// Sets the fields of a pod that are interned here.
    pub(super) fn restore(&self, id: u32, symbols: &Symbols, pod: &mut Pod) {
        let known = self.get(id);
        let affinity = self.affinity_keys.get(known.affinity);
        pod.tolerations = self.tolerations.get(known.tolerations).clone();
        pod.node_selector = affinity.selector.clone();
        pod.node_affinity = affinity.terms.clone();
        pod.node_name = known.node_name.map(|name| symbols.text(name).clone());
    }

    /// Returns the names of the only candidate nodes. `None` if the pod's node affinity
    /// does not name nodes.
    pub(super) fn named(&self, id: u32) -> Option<&[Symbol]> {
        self.affinities[self.get(id).affinity as usize]
            .named
            .as_deref()
    }

    /// Returns the first filter that rejects a node.
    pub(super) fn misfit(
        &self,
        id: u32,
        kind: u32,
        name: Symbol,
        symbols: &Symbols,
    ) -> Option<StaticMisfit> {
        let pod = self.get(id);
        let by_name = pod.node_name.is_some() || self.affinities[pod.affinity as usize].by_name;
        if by_name {
            return self.judge(pod, self.kinds.get(kind), name, symbols);
        }
        let verdict = &self.verdicts[id as usize][kind as usize];
        decode_verdict(verdict.load(Ordering::Relaxed)).unwrap_or_else(|| {
            let misfit = self.judge(pod, self.kinds.get(kind), name, symbols);
            verdict.store(encode_verdict(misfit), Ordering::Relaxed);
            misfit
        })
    }

    fn judge(
        &self,
        pod: StaticKey,
        node: &NodeKind,
        name: Symbol,
        symbols: &Symbols,
    ) -> Option<StaticMisfit> {
        let tolerations = self.tolerations.get(pod.tolerations);
        if node.unschedulable && !tolerates_unschedulable(tolerations) {
            return Some(StaticMisfit::Unschedulable);
        }
        if pod.node_name.is_some_and(|only| only != name) {
            return Some(StaticMisfit::NodeName);
        }
        if !tolerates(tolerations, &node.taints) {
            return Some(StaticMisfit::Taint);
        }
        if !self.affinity_holds(pod.affinity, &node.labels, name, symbols) {
            return Some(StaticMisfit::NodeAffinity);
        }
        None
    }

    /// Whether a node matches node selector and node affinity.
    pub(super) fn affinity_holds(
        &self,
        affinity: u32,
        labels: &[(Symbol, Symbol)],
        name: Symbol,
        symbols: &Symbols,
    ) -> bool {
        self.affinities[affinity as usize].holds(labels, name, symbols)
    }

    /// Whether tolerations tolerate all taints except PreferNoSchedule.
    pub(super) fn tolerated(&self, tolerations: u32, taints: &[Taint]) -> bool {
        tolerates(self.tolerations.get(tolerations), taints)
    }

    /// Returns the number of taints with effect PreferNoSchedule that tolerations do not
    /// tolerate.
    pub(super) fn untolerated_soft(&self, tolerations: u32, taints: &[Taint]) -> usize {
        let tolerations = self.tolerations.get(tolerations);
        let soft = taints
            .iter()
            .filter(|taint| taint.effect == Effect::PreferNoSchedule);
        soft.filter(|taint| !is_tolerated(tolerations, taint))
            .count()
    }
}

fn unknown_verdicts(length: usize) -> Vec<AtomicU8> {
    std::iter::repeat_with(AtomicU8::default)
        .take(length)
        .collect()
}

/// Decodes a cached verdict. `None` if it is not known yet (0).
fn decode_verdict(code: u8) -> Option<Option<StaticMisfit>> {
    Some(match code {
        1 => None,
        2 => Some(StaticMisfit::Unschedulable),
        3 => Some(StaticMisfit::NodeName),
        4 => Some(StaticMisfit::Taint),
        5 => Some(StaticMisfit::NodeAffinity),
        _ => return None,
    })
}

fn encode_verdict(misfit: Option<StaticMisfit>) -> u8 {
    match misfit {
        None => 1,
        Some(StaticMisfit::Unschedulable) => 2,
        Some(StaticMisfit::NodeName) => 3,
        Some(StaticMisfit::Taint) => 4,
        Some(StaticMisfit::NodeAffinity) => 5,
    }
}

impl NodeAffinity {
    fn new(pod: &Pod, symbols: &mut Symbols) -> Self {
        let terms = pod.node_affinity.as_deref();
        let names = |name: &Name, symbols: &mut Symbols| symbols.intern(name);
        let named = terms.and_then(|terms| {
            let named = terms.iter().map(named_by);
            let mut all = named.collect::<Option<Vec<_>>>()?.concat();
            all.sort();
            all.dedup();
            (!terms.is_empty()).then(|| all.iter().map(|name| names(name, symbols)).collect())
        });
        Self {
            selector: label_set(&pod.node_selector, symbols),
            terms: terms.map(|terms| terms.iter().map(|term| Term::new(term, symbols)).collect()),
            named,
            by_name: terms.is_some_and(|terms| terms.iter().any(|term| !term.fields.is_empty())),
        }
    }

    /// Returns the keys of node labels that it uses.
    fn keys(&self) -> impl Iterator<Item = Symbol> {
        let selected = self.selector.iter().map(|(key, _)| *key);
        let terms = self.terms.iter().flatten();
        selected.chain(terms.flat_map(|term| term.conditions.iter().map(|condition| condition.key)))
    }

    fn holds(&self, labels: &[(Symbol, Symbol)], name: Symbol, symbols: &Symbols) -> bool {
        let selected = self.selector.iter().all(|pair| labels.contains(pair));
        let allowed = |terms: &[Term]| terms.iter().any(|term| term.holds(labels, name, symbols));
        selected && self.terms.as_deref().is_none_or(allowed)
    }
}

/// Returns the node names that a term requires. `None` if it requires no names.
fn named_by(term: &NodeSelectorTerm) -> Option<Vec<Name>> {
    let asked = term
        .fields
        .iter()
        .filter(|field| &*field.key == "metadata.name" && field.operator == Operator::In);
    let mut names: Option<Vec<Name>> = None;
    for field in asked {
        names = Some(match names {
            None => field.values.clone(),
            Some(mut names) => {
                names.retain(|name| field.values.contains(name));
                names
            }
        });
    }
    names
}

impl Term {
    fn new(term: &NodeSelectorTerm, symbols: &mut Symbols) -> Self {
        let mut never = term.expressions.is_empty() && term.fields.is_empty();
        let mut names = Vec::new();
        for field in &term.fields {
            match (field.operator, field.values.as_slice()) {
                (Operator::In, [name]) => names.push((true, symbols.intern(name))),
                (Operator::NotIn, [name]) => names.push((false, symbols.intern(name))),
                _ => never = true,
            }
            never |= &*field.key != "metadata.name";
        }
        let conditions = term.expressions.iter();
        Self {
            conditions: conditions
                .map(|condition| Condition::of_node(condition, symbols))
                .collect(),
            names: names.into(),
            never,
        }
    }

    fn holds(&self, labels: &[(Symbol, Symbol)], name: Symbol, symbols: &Symbols) -> bool {
        !self.never
            && self
                .names
                .iter()
                .all(|(wanted, known)| *wanted == (*known == name))
            && all_hold(&self.conditions, labels, symbols)
    }
}

fn tolerates_unschedulable(tolerations: &[Toleration]) -> bool {
    let same = |toleration: &Toleration| {
        tolerates_taint(toleration, UNSCHEDULABLE, "", Effect::NoSchedule)
    };
    tolerations.iter().any(same)
}

fn tolerates(tolerations: &[Toleration], taints: &[Taint]) -> bool {
    let mut filtering = taints
        .iter()
        .filter(|taint| taint.effect != Effect::PreferNoSchedule);
    filtering.all(|taint| is_tolerated(tolerations, taint))
}

fn is_tolerated(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations
        .iter()
        .any(|toleration| tolerates_taint(toleration, &taint.key, &taint.value, taint.effect))
}

fn tolerates_taint(toleration: &Toleration, key: &str, value: &str, effect: Effect) -> bool {
    toleration.effect.is_none_or(|known| known == effect)
        && (toleration.key.is_empty() || &*toleration.key == key)
        && match toleration.operator {
            TolerationOperator::Equal => &*toleration.value == value,
            TolerationOperator::Exists => true,
            TolerationOperator::Unknown => false,
        }
}
