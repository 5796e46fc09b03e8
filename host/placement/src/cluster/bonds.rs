//! What a packer asks about a class.

use super::nodes::{CPU, EPHEMERAL, MEMORY};
use super::{ClassId, Cluster};
use crate::Resources;

const HOSTNAME: &str = "kubernetes.io/hostname";

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
}
