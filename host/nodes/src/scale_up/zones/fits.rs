//! Which pods fit on a new node in each of a group's zones.

use std::sync::Arc;

use flyball_placement::ClassId;
use flyball_placement::pack::{Demand, Packed, add_template};

use crate::scale_up::candidates::Candidate;
use crate::state::ClusterState;

/// Whether the pods of a demand fit on a new node, by template and demand.
#[derive(Default)]
pub(super) struct ZoneFits(Vec<Vec<bool>>);

impl ZoneFits {
    /// Checks which of the pods fit on a new node in each of a group's zones.
    pub(super) fn of(
        state: &mut ClusterState,
        candidate: &Candidate<'_>,
        demands: &[Demand],
    ) -> Self {
        let cluster = state.cluster_mut();
        let templates = candidate.templates().iter();
        let fits = templates.map(|template| {
            let mark = cluster.mark();
            let node = add_template(cluster, &template.template);
            let fits = demands.iter().map(|one| cluster.fits(one.class, node));
            let fits = fits.collect();
            cluster.rollback(mark);
            fits
        });
        Self(fits.collect())
    }

    /// Whether a new node has room for the pods of a demand in some zones and not in
    /// others.
    pub(super) fn is_zone_dependent(&self, row: usize) -> bool {
        let fits = || self.0.iter().map(|fits| fits[row]);
        fits().any(|fits| fits) && fits().any(|fits| !fits)
    }

    /// Number of zone-dependent demands that fit in the zone of a template.
    pub(super) fn dependent_demands(&self, template: usize) -> usize {
        let fits = self.0.get(template).into_iter().flatten().enumerate();
        fits.filter(|(row, fits)| **fits && self.is_zone_dependent(*row))
            .count()
    }

    /// The templates with which a node has room for the pods of a demand, by index.
    pub(super) fn templates(&self, row: usize) -> impl Iterator<Item = usize> {
        let fits = self.0.iter().enumerate();
        fits.filter(move |(_, fits)| fits[row]).map(|(at, _)| at)
    }

    /// Classes of the zone-dependent pods that an estimate places.
    pub(super) fn dependent_classes(&self, packed: &Packed, demands: &[Demand]) -> Vec<ClassId> {
        let rows = demands.iter().enumerate();
        let dependent = rows.filter(|(row, _)| {
            placed_by(packed, *row) > 0 && !self.0.is_empty() && self.is_zone_dependent(*row)
        });
        dependent.map(|(_, demand)| demand.class).collect()
    }

    /// Number of zone-dependent pods that an estimate places.
    pub(super) fn dependent_placed(&self, packed: &Packed) -> u32 {
        let placed = packed.placed.iter().enumerate();
        let dependent =
            placed.filter(|(row, _)| !self.0.is_empty() && self.is_zone_dependent(*row));
        dependent.map(|(_, count)| count).sum()
    }

    /// Index of the best estimate, one a zone: it places most zone-dependent pods, then
    /// most pods in all, then comes first.
    pub(super) fn best(&self, packed: &[Arc<Packed>]) -> usize {
        let rank = |&at: &usize| (self.dependent_placed(&packed[at]), packed[at].pods());
        let rows = 0..packed.len();
        rows.rev().max_by_key(rank).unwrap_or_default()
    }
}

/// Returns how many pods of a demand an estimate places.
pub(super) fn placed_by(packed: &Packed, row: usize) -> u32 {
    packed.placed.get(row).copied().unwrap_or_default()
}
