//! The pods that the ordered nodes help.

use flyball_placement::Bonds;
use flyball_placement::pack::{Demand, pack_and_keep};

use super::{Ordered, Rounds, demands_of};
use crate::demand::UnplacedPods;
use crate::scale_up::expansion_option::{ExpansionOption, growth};
use crate::scale_up::families::Family;
use crate::state::ClusterState;

impl Rounds<'_> {
    /// Removes the pods that the ordered nodes help from `unplaced`: those placed on
    /// them, and those that can go to other nodes once they are placed. Returns their
    /// slots.
    pub(super) fn help(
        &mut self,
        state: &mut ClusterState,
        demands: &[Demand],
        chosen: &ExpansionOption,
        ordered: &[Ordered],
        unplaced: &mut Vec<UnplacedPods>,
    ) -> Vec<u32> {
        let mut helped = Vec::new();
        let estimate = &chosen.packed;
        let as_estimated = *ordered == chosen.parts;
        // If the places of these pods decide where others may go, the nodes stay in the
        // simulation.
        let cluster = state.cluster();
        let bound = demands
            .iter()
            .zip(&estimate.placed)
            .filter(|(demand, placed)| !as_estimated || demand.count > **placed)
            .any(|(demand, _)| {
                let class = demand.class;
                cluster.bonds(class) != Bonds::default() || cluster.is_unwanted(class)
            });
        if as_estimated && !bound {
            take(unplaced, &estimate.placed, &mut helped);
            return helped;
        }
        // Nodes of an option of several groups are packed at once. Nodes of one group
        // that are split over similar ones are packed group by group.
        let together = chosen.parts.len() > 1;
        let batches: Vec<&[Ordered]> = match together {
            true => vec![ordered],
            false => ordered.chunks(1).collect(),
        };
        for batch in batches {
            let family = Family {
                rows: batch.iter().map(|(row, _)| *row).collect(),
                stand_ins: chosen.family.stand_ins.clone(),
            };
            let nodes = |row: usize| {
                let mut of_row = batch.iter().filter(|(other, _)| *other == row);
                of_row.next().map_or(0, |(_, nodes)| *nodes)
            };
            let Some(growth) = growth(&self.candidates, &family, nodes, u32::MAX) else {
                continue;
            };
            let cluster = state.cluster_mut();
            let demands = demands_of(unplaced);
            let (order, work) = (estimate.order, self.work);
            let (packed, kept) =
                pack_and_keep(cluster, &self.known, &growth, &demands, order, work);
            take(unplaced, &packed.placed, &mut helped);
            self.known.extend(kept);
        }
        helped
    }
}

/// Removes the pods that found a place, `placed` of each class. Adds the slots of those
/// that get an event to `helped`.
pub(in crate::scale_up) fn take(
    unplaced: &mut Vec<UnplacedPods>,
    placed: &[u32],
    helped: &mut Vec<u32>,
) {
    for (unplaced, count) in unplaced.iter_mut().zip(placed) {
        let gets_events = unplaced.gets_events();
        let slots = unplaced.take(*count);
        if gets_events {
            helped.extend_from_slice(slots);
        }
    }
    unplaced.retain(|unplaced| unplaced.left > 0);
}
