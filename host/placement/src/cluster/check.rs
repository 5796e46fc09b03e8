//! The filters, in the scheduler's order.

use super::relations::Objection;
use super::statics::Refusal;
use super::{ClassId, Cluster, NodeId};
use crate::volumes::NodeLabels;
use crate::{Misfit, Plugin, Reason, Stage};

/// The first filter that rejects a node.
enum Fault {
    Gated,
    Conflict,
    NotNamed,
    Static(Refusal),
    Ports,
    Resources,
    Volumes(Misfit),
    Relation(Objection),
}

impl Cluster {
    /// Checks whether the scheduler would put a pod of a class on a node.
    ///
    /// # Errors
    ///
    /// The first filter that rejects the node, or a requirement that can't be judged.
    pub fn check(&self, class: ClassId, node: NodeId) -> Result<(), Misfit> {
        if let Some(fault) = self.fault(class, node) {
            return Err(self.misfit(class, node, fault));
        }
        match self.classes.key(class).unjudged.first() {
            Some(what) => Err(Misfit::Unjudged(*what)),
            None => Ok(()),
        }
    }

    /// Like [`Self::check`], without reasons. True only if every requirement can be
    /// judged and no filter rejects the node.
    pub fn fits(&self, class: ClassId, node: NodeId) -> bool {
        // Checked first: it rejects most nodes of a full cluster.
        self.nodes.suffices(node, self.classes.request(class))
            && self.classes.key(class).unjudged.is_empty()
            && self.fault(class, node).is_none()
    }

    /// Returns why a class's pods fit on no node, whatever its properties. `None` if
    /// there is no such reason.
    pub fn rejected(&self, class: ClassId) -> Option<Misfit> {
        let fault = self.rejection(class)?;
        Some(plain(fault))
    }

    fn rejection(&self, class: ClassId) -> Option<Fault> {
        let key = self.classes.key(class);
        if key.gated {
            return Some(Fault::Gated);
        }
        let conflict = self.statics.named(key.statics).is_some_and(<[_]>::is_empty);
        if conflict {
            return Some(Fault::Conflict);
        }
        let mounting = self.mounting(class)?;
        self.storage.rejection(mounting).map(Fault::Volumes)
    }

    fn fault(&self, class: ClassId, node: NodeId) -> Option<Fault> {
        if let Some(fault) = self.rejection(class) {
            return Some(fault);
        }
        let Some(slot) = self.nodes.get(node) else {
            return Some(Fault::Resources);
        };
        let statics = self.classes.key(class).statics;
        let named = self.statics.named(statics);
        if named.is_some_and(|named| !named.contains(&slot.name)) {
            return Some(Fault::NotNamed);
        }
        let kind = self.nodes.kind[node.at()];
        if let Some(refusal) = self
            .statics
            .refusal(statics, kind, slot.name, &self.symbols)
        {
            return Some(Fault::Static(refusal));
        }
        if slot.ports_taken(self.classes.ports(class)) {
            return Some(Fault::Ports);
        }
        if !self.nodes.suffices(node, self.classes.request(class)) {
            return Some(Fault::Resources);
        }
        if let Some(mounting) = self.mounting(class) {
            let labels = NodeLabels {
                labels: &slot.labels,
                symbols: &self.symbols,
            };
            let running = slot.pods.iter();
            let running = running.filter_map(|placed| self.mounting(placed.class));
            let name = self.symbols.text(slot.name);
            let misfit = self
                .storage
                .misfit(mounting, name, &slot.node, labels, running);
            if let Some(misfit) = misfit {
                return Some(Fault::Volumes(misfit));
            }
        }
        let shape = self.classes.shape_of(class);
        self.relations.objection(shape, node).map(Fault::Relation)
    }

    fn misfit(&self, class: ClassId, node: NodeId, fault: Fault) -> Misfit {
        match fault {
            Fault::Resources => Misfit::Rejected {
                plugin: Plugin::NodeResourcesFit,
                stage: Stage::Filter,
                reasons: self.insufficient(class, node),
            },
            other => plain(other),
        }
    }

    /// Returns all resources of which the node has too little.
    fn insufficient(&self, class: ClassId, node: NodeId) -> Vec<Reason> {
        let amounts = self.classes.request(class).amounts();
        let mut reasons: Vec<Reason> = amounts
            .filter(|(column, amount)| *amount > self.nodes.free_of(*column, node))
            .map(|(column, _)| Reason::Insufficient(self.nodes.column_name(column)))
            .collect();
        reasons.sort();
        if self.nodes.free_of(super::nodes::PODS, node) < 1 {
            reasons.push(Reason::TooManyPods);
        }
        reasons
    }
}

fn plain(fault: Fault) -> Misfit {
    let stage = match fault {
        Fault::Gated | Fault::Conflict | Fault::NotNamed => Stage::PreFilter,
        _ => Stage::Filter,
    };
    let (plugin, reason) = match fault {
        Fault::Volumes(misfit) => return misfit,
        Fault::Gated => (Plugin::SchedulingGates, Reason::Gated),
        Fault::Conflict => (Plugin::NodeAffinity, Reason::Conflict),
        Fault::NotNamed => (Plugin::NodeAffinity, Reason::NotNamed),
        Fault::Static(Refusal::Unschedulable) => (Plugin::NodeUnschedulable, Reason::Unschedulable),
        Fault::Static(Refusal::NodeName) => (Plugin::NodeName, Reason::NodeName),
        Fault::Static(Refusal::Taint) => (Plugin::TaintToleration, Reason::Taint),
        Fault::Static(Refusal::NodeAffinity) => (Plugin::NodeAffinity, Reason::NodeAffinity),
        Fault::Ports => (Plugin::NodePorts, Reason::Ports),
        Fault::Resources => (Plugin::NodeResourcesFit, Reason::TooManyPods),
        Fault::Relation(objection) => match objection {
            Objection::Spread => (Plugin::PodTopologySpread, Reason::Spread),
            Objection::SpreadLabel => (Plugin::PodTopologySpread, Reason::SpreadLabel),
            Objection::Affinity => (Plugin::InterPodAffinity, Reason::Affinity),
            Objection::AntiAffinity => (Plugin::InterPodAffinity, Reason::AntiAffinity),
            Objection::ExistingAntiAffinity => {
                (Plugin::InterPodAffinity, Reason::ExistingAntiAffinity)
            }
        },
    };
    Misfit::rejected(plugin, stage, reason)
}
