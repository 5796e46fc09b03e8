//! The storage objects of a cluster, by name.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::csi_nodes::CsiNodes;
use super::translate::{Translated, migrated_to, translate};
use crate::condition::{Condition, LabelSet, all_hold, conditions, label_set};
use crate::intern::{Symbol, Symbols};
use crate::{
    Claim, CsiDriver, CsiNode, Name, NodeSelectorTerm, Operator, PersistentVolume, PodVolumes,
    Requirement, StorageCapacity, StorageClass, StorageObject, VolumeAttachment,
};

/// The storage objects of a cluster.
#[derive(Default)]
pub(crate) struct Storage {
    claims: HashMap<Name, HashMap<Name, KnownClaim>>,
    volumes: HashMap<Name, KnownVolume>,
    /// Names of volumes, by class.
    by_class: HashMap<Name, BTreeSet<Name>>,
    classes: HashMap<Name, KnownClass>,
    drivers: HashMap<Name, CsiDriver>,
    capacities: BTreeMap<(Name, Name), KnownCapacity>,
    csi: CsiNodes,
    /// By node and name.
    attachments: HashMap<Name, BTreeMap<Name, VolumeAttachment>>,
    /// Number of placed pods that mount a claim, by namespace and name.
    mounted: HashMap<Symbol, HashMap<Name, u32>>,
}

pub(super) struct KnownClaim {
    pub(super) claim: Claim,
    pub(super) selector: Option<Box<[Condition]>>,
}

pub(super) struct KnownVolume {
    pub(super) volume: PersistentVolume,
    pub(super) labels: LabelSet,
    affinity: Affinity,
    translated: Translation,
}

/// Required node affinity of a volume.
type Affinity = Option<Box<[Box<[Condition]>]>>;

/// Translation of an in-tree plugin's volume into one of its CSI driver.
enum Translation {
    /// The volume is not one of an in-tree plugin.
    None,
    /// The volume can't be translated.
    Impossible,
    /// The CSI driver's name of the volume, and its node affinity.
    Known(Name, Affinity),
}

/// Whether a volume can be used on a node.
pub(super) enum Reach {
    Reachable,
    /// Its node affinity does not match the node.
    Elsewhere,
    /// Its plugin is migrated, but the volume can't be translated.
    Untranslatable,
}

pub(super) struct KnownClass {
    pub(super) class: StorageClass,
    topologies: Box<[Box<[Condition]>]>,
}

pub(super) struct KnownCapacity {
    pub(super) capacity: StorageCapacity,
    topology: Option<Box<[Condition]>>,
}

/// A node's interned labels.
#[derive(Clone, Copy)]
pub(crate) struct NodeLabels<'a> {
    pub(crate) labels: &'a [(Symbol, Symbol)],
    pub(crate) symbols: &'a Symbols,
}

impl NodeLabels<'_> {
    pub(super) fn meet(self, conditions: &[Condition]) -> bool {
        all_hold(conditions, self.labels, self.symbols)
    }
}

impl KnownVolume {
    /// Whether its untranslated node affinity matches a node.
    pub(super) fn reachable_from(&self, node: NodeLabels<'_>) -> bool {
        allows(&self.affinity, node)
    }

    /// Returns whether it can be used on a node. It is translated if its plugin is
    /// migrated there.
    pub(super) fn reach(&self, node: NodeLabels<'_>, csi: Option<&CsiNode>) -> Reach {
        let migrated = csi.is_some_and(|csi| self.is_migrated_on(csi));
        let affinity = match &self.translated {
            Translation::Impossible if migrated => return Reach::Untranslatable,
            Translation::Known(_, affinity) if migrated => affinity,
            _ => &self.affinity,
        };
        if allows(affinity, node) {
            Reach::Reachable
        } else {
            Reach::Elsewhere
        }
    }

    /// Returns the driver that attaches it on a node, and the driver's name of the
    /// volume.
    pub(super) fn attached_on(&self, csi: &CsiNode) -> Option<(Name, Name)> {
        let source = self.volume.source.as_ref()?;
        match &self.translated {
            Translation::None => Some((source.driver.clone(), source.handle.clone())),
            Translation::Known(handle, _) if self.is_migrated_on(csi) => {
                Some((migrated_to(&source.driver)?.into(), handle.clone()))
            }
            _ => None,
        }
    }

    fn is_migrated_on(&self, csi: &CsiNode) -> bool {
        let source = self.volume.source.as_ref();
        source.is_some_and(|source| csi.migrated.contains(&source.driver))
    }
}

fn allows(affinity: &Affinity, node: NodeLabels<'_>) -> bool {
    let affinity = affinity.as_deref();
    affinity.is_none_or(|terms| terms.iter().any(|term| node.meet(term)))
}

impl KnownClass {
    /// Whether its volumes can be provisioned for a node.
    pub(super) fn can_provision_at(&self, node: NodeLabels<'_>) -> bool {
        let topologies = &self.topologies;
        topologies.is_empty() || topologies.iter().any(|term| node.meet(term))
    }
}

impl KnownCapacity {
    /// Whether a node can access the storage.
    pub(super) fn reachable_from(&self, node: NodeLabels<'_>) -> bool {
        let topology = self.topology.as_deref();
        topology.is_some_and(|topology| node.meet(topology))
    }
}

impl Storage {
    pub(crate) fn set(&mut self, object: StorageObject, symbols: &mut Symbols) {
        match object {
            StorageObject::Claim(claim) => self.set_claim(claim, symbols),
            StorageObject::Volume(volume) => self.set_volume(volume, symbols),
            StorageObject::Class(class) => {
                let known = KnownClass::new(class, symbols);
                self.classes.insert(known.class.name.clone(), known);
            }
            StorageObject::Driver(driver) => {
                self.drivers.insert(driver.name.clone(), driver);
            }
            StorageObject::Capacity(capacity) => {
                let key = (capacity.namespace.clone(), capacity.name.clone());
                let topology = capacity.topology.as_ref();
                let topology = topology.map(|selector| conditions(selector, symbols));
                let known = KnownCapacity { capacity, topology };
                self.capacities.insert(key, known);
            }
            StorageObject::Node(node) => self.csi.set(node),
            StorageObject::Attachment(attachment) => {
                let of_node = self.attachments.entry(attachment.node.clone()).or_default();
                of_node.insert(attachment.name.clone(), attachment);
            }
        }
    }

    pub(crate) fn remove(&mut self, object: &StorageObject) {
        match object {
            StorageObject::Claim(claim) => {
                if let Some(claims) = self.claims.get_mut(&claim.namespace) {
                    claims.remove(&claim.name);
                    if claims.is_empty() {
                        self.claims.remove(&claim.namespace);
                    }
                }
            }
            StorageObject::Volume(volume) => self.remove_volume(&volume.name),
            StorageObject::Class(class) => drop(self.classes.remove(&class.name)),
            StorageObject::Driver(driver) => drop(self.drivers.remove(&driver.name)),
            StorageObject::Capacity(capacity) => {
                let key = (capacity.namespace.clone(), capacity.name.clone());
                self.capacities.remove(&key);
            }
            StorageObject::Node(node) => self.csi.remove(&node.name),
            StorageObject::Attachment(attachment) => {
                self.attachments.retain(|_, of_node| {
                    of_node.remove(&attachment.name);
                    !of_node.is_empty()
                });
            }
        }
    }

    /// Returns all objects, in no particular order.
    #[expect(
        clippy::disallowed_methods,
        reason = "what is set in another order answers the same"
    )]
    pub(crate) fn objects(&self) -> impl Iterator<Item = StorageObject> {
        let claims = self.claims.values().flat_map(HashMap::values);
        let claims = claims.map(|known| StorageObject::Claim(known.claim.clone()));
        let volumes = self.volumes.values();
        let volumes = volumes.map(|known| StorageObject::Volume(known.volume.clone()));
        let classes = self.classes.values();
        let classes = classes.map(|known| StorageObject::Class(known.class.clone()));
        let drivers = self.drivers.values().cloned().map(StorageObject::Driver);
        let capacities = self.capacities.values();
        let capacities = capacities.map(|known| StorageObject::Capacity(known.capacity.clone()));
        let nodes = self.csi.iter().cloned().map(StorageObject::Node);
        let attachments = self.attachments.values().flat_map(BTreeMap::values);
        let attachments = attachments.cloned().map(StorageObject::Attachment);
        claims
            .chain(volumes)
            .chain(classes)
            .chain(drivers)
            .chain(capacities)
            .chain(nodes)
            .chain(attachments)
    }

    fn set_claim(&mut self, claim: Claim, symbols: &mut Symbols) {
        let selector = claim.selector.as_ref();
        let selector = selector.map(|selector| conditions(selector, symbols));
        let claims = self.claims.entry(claim.namespace.clone()).or_default();
        claims.insert(claim.name.clone(), KnownClaim { claim, selector });
    }

    fn set_volume(&mut self, volume: PersistentVolume, symbols: &mut Symbols) {
        self.remove_volume(&volume.name);
        let of_class = self.by_class.entry(volume.class.clone()).or_default();
        of_class.insert(volume.name.clone());
        let known = KnownVolume {
            labels: label_set(&volume.labels, symbols),
            affinity: affinity(volume.node_affinity.as_deref(), symbols),
            translated: translation(&volume, symbols),
            volume,
        };
        self.volumes.insert(known.volume.name.clone(), known);
    }

    fn remove_volume(&mut self, name: &Name) {
        if let Some(known) = self.volumes.remove(name)
            && let Some(of_class) = self.by_class.get_mut(&known.volume.class)
        {
            of_class.remove(name);
        }
    }

    /// Counts the claims of a pod that is placed, or removed if not `up`.
    pub(crate) fn shift(&mut self, namespace: Symbol, volumes: &PodVolumes, up: bool) {
        let mounted = self.mounted.entry(namespace).or_default();
        for claim in volumes.claims.iter().filter(|claim| claim.owner.is_none()) {
            let count = mounted.entry(claim.name.clone()).or_default();
            *count = if up {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
            if *count == 0 {
                mounted.remove(&claim.name);
            }
        }
    }

    /// Whether a placed pod mounts a claim.
    pub(super) fn is_mounted(&self, namespace: Symbol, claim: &str) -> bool {
        let mounted = self.mounted.get(&namespace);
        mounted.is_some_and(|mounted| mounted.contains_key(claim))
    }

    pub(super) fn claim(&self, namespace: &str, name: &str) -> Option<&KnownClaim> {
        self.claims.get(namespace)?.get(name)
    }

    pub(super) fn volume(&self, name: &str) -> Option<&KnownVolume> {
        self.volumes.get(name)
    }

    /// The volumes of a class, ordered by name.
    pub(super) fn volumes_of(&self, class: &str) -> impl Iterator<Item = &KnownVolume> {
        let names = self.by_class.get(class).into_iter().flatten();
        names.filter_map(|name| self.volumes.get(name))
    }

    pub(super) fn class(&self, name: &str) -> Option<&KnownClass> {
        self.classes.get(name)
    }

    pub(super) fn driver(&self, name: &str) -> Option<&CsiDriver> {
        self.drivers.get(name)
    }

    pub(super) fn capacities(&self) -> impl Iterator<Item = &KnownCapacity> {
        self.capacities.values()
    }

    /// CSINodes.
    pub(crate) fn csi(&self) -> &CsiNodes {
        &self.csi
    }

    pub(super) fn attachments(&self, node: &str) -> impl Iterator<Item = &VolumeAttachment> {
        let of_node = self.attachments.get(node).into_iter();
        of_node.flat_map(BTreeMap::values)
    }
}

impl KnownClass {
    fn new(class: StorageClass, symbols: &mut Symbols) -> Self {
        let terms = class.allowed_topologies.iter();
        // A term without conditions selects nothing.
        let terms = terms.filter(|term| !term.is_empty());
        let topologies = terms.map(|term| {
            let each = term.iter();
            each.map(|one| Condition::of_selector(one, symbols))
                .collect()
        });
        Self {
            topologies: topologies.collect(),
            class,
        }
    }
}

fn affinity(terms: Option<&[NodeSelectorTerm]>, symbols: &mut Symbols) -> Affinity {
    let terms = terms?.iter();
    let terms = terms.filter_map(|term| affinity_term(term, symbols));
    Some(terms.collect())
}

fn translation(volume: &PersistentVolume, symbols: &mut Symbols) -> Translation {
    let source = volume.source.as_ref();
    if source.is_none_or(|source| migrated_to(&source.driver).is_none()) {
        return Translation::None;
    }
    match translate(volume) {
        None => Translation::Impossible,
        Some(Translated {
            handle,
            node_affinity,
        }) => Translation::Known(handle, affinity(node_affinity.as_deref(), symbols)),
    }
}

/// Returns the conditions of a term of a volume's node affinity. `None` if it matches no
/// node. Terms are compared with labels only, without node names, as in the scheduler.
fn affinity_term(term: &NodeSelectorTerm, symbols: &mut Symbols) -> Option<Box<[Condition]>> {
    let nameless = |field: &Requirement| field.operator == Operator::NotIn;
    let empty = term.expressions.is_empty() && term.fields.is_empty();
    let matchable = !empty && term.fields.iter().all(nameless);
    matchable.then(|| {
        let expressions = term.expressions.iter();
        expressions
            .map(|one| Condition::of_node(one, symbols))
            .collect()
    })
}
