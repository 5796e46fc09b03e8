//! The check of a node against the rules of a shape.

use super::Relations;
use crate::cluster::counter::Selected;
use crate::cluster::nodes::NodeId;

/// The first of these rules that rejects a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) enum RelationMisfit {
    Spread,
    SpreadLabel,
    Affinity,
    AntiAffinity,
    ExistingAntiAffinity,
    /// Pods that are not judged are in a domain of the node.
    Unjudged,
}

impl Relations {
    /// Returns the first rule that rejects a node.
    pub(in crate::cluster) fn misfit(&self, shape: u32, node: NodeId) -> Option<RelationMisfit> {
        self.misfit_over(shape, node, |_| true)
    }

    /// Returns the first rule that rejects a node, among those for whose topology key
    /// `counts` returns true.
    pub(in crate::cluster) fn misfit_over(
        &self,
        shape: u32,
        node: NodeId,
        counts: impl Fn(u32) -> bool,
    ) -> Option<RelationMisfit> {
        self.spread_misfit(shape, node, &counts)
            .or_else(|| self.affinity_misfit(shape, node, &counts))
            .or_else(|| self.unjudged_misfit(shape, node, &counts))
    }

    fn spread_misfit(
        &self,
        shape: u32,
        node: NodeId,
        counts: &impl Fn(u32) -> bool,
    ) -> Option<RelationMisfit> {
        let spread = self.shapes[shape as usize].spread.iter();
        for spread in spread.filter(|spread| counts(spread.key)) {
            let Some(domain) = self.counting.domains.of(spread.key, node) else {
                return Some(RelationMisfit::SpreadLabel);
            };
            let counted = |counter| self.counting.get(counter, domain);
            let there = spread.counter.map_or(0, counted);
            let skew = i64::from(there) + i64::from(spread.own) - i64::from(self.smallest(spread));
            if skew > spread.max_skew {
                return Some(RelationMisfit::Spread);
            }
        }
        None
    }

    fn affinity_misfit(
        &self,
        shape: u32,
        node: NodeId,
        counts: &impl Fn(u32) -> bool,
    ) -> Option<RelationMisfit> {
        let terms = self.terms_of(shape);
        let counts = |counter: &&u32| counts(self.counting.key_of(**counter));
        if let Some(predicate) = terms.predicate {
            let mut near = true;
            for counter in terms.affinity.iter().filter(counts) {
                let Some(pods) = self.counting.pods_near(*counter, node) else {
                    return Some(RelationMisfit::Affinity);
                };
                near &= pods > 0;
            }
            if !near && !self.is_first_of_its_affinity(shape, predicate, &terms.affinity) {
                return Some(RelationMisfit::Affinity);
            }
        }
        let any = |terms: &[Selected]| {
            let mut terms = terms.iter().filter(|term| counts(&&term.counter));
            terms.any(|term| self.counting.selects_near(*term, node))
        };
        if any(&terms.anti_affinity) {
            return Some(RelationMisfit::AntiAffinity);
        }
        let mut excluding = self.counting.profile(shape).excluding.iter().filter(counts);
        let is_excluded = excluding.any(|counter| self.counting.excludes(shape, *counter, node));
        is_excluded.then(|| {
            if any(&terms.widened) {
                RelationMisfit::AntiAffinity
            } else {
                RelationMisfit::ExistingAntiAffinity
            }
        })
    }

    /// Whether pods that are not judged keep a shape's pods from a node.
    fn unjudged_misfit(
        &self,
        shape: u32,
        node: NodeId,
        counts: &impl Fn(u32) -> bool,
    ) -> Option<RelationMisfit> {
        let counting = &self.counting;
        let blocking = counting.profile(shape).blocking.iter();
        let mut blocking = blocking.filter(|counter| counts(counting.key_of(**counter)));
        let is_blocked = blocking.any(|counter| counting.pods_near(*counter, node) > Some(0));
        let namespace = self.terms_of(shape).only_namespace;
        let is_beside_unjudged = || {
            let mut keys = self.topology_keys(shape).filter(|key| counts(*key));
            let unjudged = counting.unjudged();
            unjudged.are_placed(namespace)
                && keys.any(|key| unjudged.near(&counting.domains, namespace, key, node) > 0)
        };
        (is_blocked || is_beside_unjudged()).then_some(RelationMisfit::Unjudged)
    }

    /// Whether a pod matches its own affinity terms and no pod in the cluster matches
    /// them yet. The scheduler then lets it onto any node.
    fn is_first_of_its_affinity(&self, shape: u32, predicate: u32, counters: &[u32]) -> bool {
        self.counting.is_matched(shape, predicate)
            && !self
                .counting
                .unjudged()
                .are_placed(self.terms_of(shape).only_namespace)
            && counters
                .iter()
                .all(|counter| self.counting.is_empty(*counter))
    }
}
