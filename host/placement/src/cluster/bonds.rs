//! What a packer asks about a class.

use super::nodes::{CPU, EPHEMERAL, MEMORY, PODS};
use super::{ClassId, Cluster, NodeId};
use crate::Resources;

/// Label that has a node's name: the one by which nodes of a template differ.
pub(crate) const HOSTNAME: &str = "kubernetes.io/hostname";

/// What makes a pod's place depend on where other pods are, beside resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bonds {
    /// Required pod affinity.
    pub affinity: bool,
    /// Required pod anti-affinity.
    pub anti_affinity: bool,
    /// Topology spread constraints.
    pub spread: bool,
    /// One of them is over hosts.
    pub spread_over_hosts: bool,
    /// Ports of the node.
    pub host_ports: bool,
    /// Volumes.
    pub volumes: bool,
}

impl Cluster {
    /// What makes the place of a class's pods depend on where others are.
    pub fn bonds(&self, class: ClassId) -> Bonds {
        let key = self.classes.key(class);
        let (affinity, anti_affinity) = self.relations.has_terms(key.terms);
        let spread = self.classes.spread(key.spread);
        Bonds {
            affinity,
            anti_affinity,
            spread: !spread.is_empty(),
            spread_over_hosts: spread
                .iter()
                .any(|constraint| &*constraint.topology_key == HOSTNAME),
            host_ports: !self.classes.ports(class).is_empty(),
            volumes: self.classes.volumes(class).is_some(),
        }
    }

    /// What a pod of a class requests.
    pub fn requests(&self, class: ClassId) -> Resources {
        let mut requests = Resources::default();
        for (column, amount) in self.classes.request(class).amounts() {
            match column {
                CPU => requests.cpu = amount,
                MEMORY => requests.memory = amount,
                EPHEMERAL => requests.ephemeral_storage = amount,
                _ => requests
                    .extended
                    .push((self.nodes.column_name(column), amount)),
            }
        }
        requests.extended.sort();
        requests
    }

    /// What a pod of a class takes of a node, by number of the resource: itself as a
    /// pod first, zeros left out.
    pub(crate) fn asked(&self, class: ClassId) -> impl Iterator<Item = (usize, i64)> {
        std::iter::once((PODS, 1)).chain(self.classes.request(class).amounts())
    }

    /// What is free on a node of the resource of a number; negative where it is
    /// overcommitted.
    pub(crate) fn free_of(&self, resource: usize, node: NodeId) -> i64 {
        self.nodes.free_of(resource, node)
    }

    /// Whether a class's pods are turned away from a whole domain that a node is in,
    /// a zone say, because of the pods there: nodes with the same labels, but for the
    /// name, turn them away as well, until other pods come or go. `host`:
    /// [`Self::host_key`].
    pub(crate) fn is_shut(&self, class: ClassId, node: NodeId, host: Option<HostKey>) -> bool {
        let host = host.map(|HostKey(key)| key);
        let shape = self.classes.shape_of(class);
        let elsewhere = |key| Some(key) != host;
        self.relations
            .objection_over(shape, node, elsewhere)
            .is_some()
    }

    /// Numbers of what makes a class's pods lonely: of all pods that share one, a
    /// node takes one.
    pub(crate) fn lonely(&self, class: ClassId) -> impl Iterator<Item = u32> {
        let host = self.host_key().into_iter();
        let shape = self.classes.shape_of(class);
        host.flat_map(move |HostKey(key)| self.relations.exclusive(shape, key))
    }

    /// The topology key of hosts; none: no pod goes by it.
    pub(crate) fn host_key(&self) -> Option<HostKey> {
        let symbol = self.symbols.find(HOSTNAME)?;
        let key = self.relations.counting.domains.find_key(symbol);
        key.map(HostKey)
    }
}

/// Number of the topology key of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostKey(pub(super) u32);
