//! The filters, in the scheduler's order.

use super::relations::RelationMisfit;
use super::static_filters::StaticMisfit;
use super::{ClassId, Cluster, NodeId};
use crate::volumes::NodeLabels;
use crate::{Misfit, Plugin, Reason, Stage, Unjudged};

/// The first filter that rejects a node.
enum MisfitCause {
    Gated,
    /// The pod is beyond a limit on its lists, so that no filter reads them.
    Beyond(Unjudged),
    Conflict,
    NotNamed,
    Static(StaticMisfit),
    Ports,
    Resources,
    Volumes(Misfit),
    Relation(RelationMisfit),
}

impl Cluster {
    /// Checks whether the scheduler would put a pod of a class on a node.
    ///
    /// # Errors
    ///
    /// The first filter that rejects the node, or a requirement that can't be judged.
    pub fn check(&self, class: ClassId, node: NodeId) -> Result<(), Misfit> {
        if let Some(cause) = self.misfit_cause(class, node) {
            return Err(self.misfit(class, node, cause));
        }
        match self.unjudged(class) {
            Some(what) => Err(Misfit::Unjudged(what)),
            None => Ok(()),
        }
    }

    /// Returns what can't be judged of a class's pods, so that they fit on no node. `None`
    /// if all can.
    pub fn unjudged(&self, class: ClassId) -> Option<Unjudged> {
        let key = self.classes.key(class);
        let known = key.beyond.or_else(|| key.unjudged.first().copied());
        known.or_else(|| self.relations.unjudged(self.classes.shape_of(class)))
    }

    /// Like [`Self::check`], without reasons. True only if every requirement can be
    /// judged and no filter rejects the node.
    pub fn fits(&self, class: ClassId, node: NodeId) -> bool {
        // Checked first: it rejects most nodes of a full cluster.
        self.nodes.has_room_for(node, self.classes.request(class))
            && self.unjudged(class).is_none()
            && self.misfit_cause(class, node).is_none()
    }

    /// Returns why a class's pods fit on no node, whatever its properties. `None` if
    /// there is no such reason.
    pub fn rejected(&self, class: ClassId) -> Option<Misfit> {
        let cause = self.rejection(class)?;
        Some(misfit_of(cause))
    }

    /// Whether a class's pods fit on no node, whatever its properties.
    pub(crate) fn fits_nowhere(&self, class: ClassId) -> bool {
        self.unjudged(class).is_some() || self.rejection(class).is_some()
    }

    fn rejection(&self, class: ClassId) -> Option<MisfitCause> {
        let key = self.classes.key(class);
        if key.gated {
            return Some(MisfitCause::Gated);
        }
        if let Some(what) = key.beyond {
            return Some(MisfitCause::Beyond(what));
        }
        let conflict = self.statics.named(key.statics).is_some_and(<[_]>::is_empty);
        if conflict {
            return Some(MisfitCause::Conflict);
        }
        let mounting = self.mounting(class)?;
        self.storage.rejection(mounting).map(MisfitCause::Volumes)
    }

    fn misfit_cause(&self, class: ClassId, node: NodeId) -> Option<MisfitCause> {
        if let Some(cause) = self.rejection(class) {
            return Some(cause);
        }
        let Some(slot) = self.nodes.get(node) else {
            return Some(MisfitCause::Resources);
        };
        let statics = self.classes.key(class).statics;
        let named = self.statics.named(statics);
        if named.is_some_and(|named| !named.contains(&slot.name)) {
            return Some(MisfitCause::NotNamed);
        }
        let kind = self.nodes.kind[node.at()];
        if let Some(misfit) = self.statics.misfit(statics, kind, slot.name, &self.symbols) {
            return Some(MisfitCause::Static(misfit));
        }
        if slot.ports_taken(self.classes.ports(class)) {
            return Some(MisfitCause::Ports);
        }
        if !self.nodes.has_room_for(node, self.classes.request(class)) {
            return Some(MisfitCause::Resources);
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
                return Some(MisfitCause::Volumes(misfit));
            }
        }
        let shape = self.classes.shape_of(class);
        self.relations
            .misfit(shape, node)
            .map(MisfitCause::Relation)
    }

    fn misfit(&self, class: ClassId, node: NodeId, cause: MisfitCause) -> Misfit {
        match cause {
            MisfitCause::Resources => Misfit::Rejected {
                plugin: Plugin::NodeResourcesFit,
                stage: Stage::Filter,
                reasons: self.insufficient(class, node),
            },
            other => misfit_of(other),
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

fn misfit_of(cause: MisfitCause) -> Misfit {
    let stage = match cause {
        MisfitCause::Gated | MisfitCause::Conflict | MisfitCause::NotNamed => Stage::PreFilter,
        _ => Stage::Filter,
    };
    let (plugin, reason) = match cause {
        MisfitCause::Volumes(misfit) => return misfit,
        MisfitCause::Beyond(what) => return Misfit::Unjudged(what),
        MisfitCause::Gated => (Plugin::SchedulingGates, Reason::Gated),
        MisfitCause::Conflict => (Plugin::NodeAffinity, Reason::Conflict),
        MisfitCause::NotNamed => (Plugin::NodeAffinity, Reason::NotNamed),
        MisfitCause::Static(StaticMisfit::Unschedulable) => {
            (Plugin::NodeUnschedulable, Reason::Unschedulable)
        }
        MisfitCause::Static(StaticMisfit::NodeName) => (Plugin::NodeName, Reason::NodeName),
        MisfitCause::Static(StaticMisfit::Taint) => (Plugin::TaintToleration, Reason::Taint),
        MisfitCause::Static(StaticMisfit::NodeAffinity) => {
            (Plugin::NodeAffinity, Reason::NodeAffinity)
        }
        MisfitCause::Ports => (Plugin::NodePorts, Reason::Ports),
        MisfitCause::Resources => (Plugin::NodeResourcesFit, Reason::TooManyPods),
        MisfitCause::Relation(misfit) => match misfit {
            RelationMisfit::Spread => (Plugin::PodTopologySpread, Reason::Spread),
            RelationMisfit::SpreadLabel => (Plugin::PodTopologySpread, Reason::SpreadLabel),
            RelationMisfit::Affinity => (Plugin::InterPodAffinity, Reason::Affinity),
            RelationMisfit::AntiAffinity => (Plugin::InterPodAffinity, Reason::AntiAffinity),
            RelationMisfit::ExistingAntiAffinity => {
                (Plugin::InterPodAffinity, Reason::ExistingAntiAffinity)
            }
            RelationMisfit::Unjudged => return Misfit::Unjudged(Unjudged::OtherPods),
        },
    };
    Misfit::rejected(plugin, stage, reason)
}
