//! The rounds of a plan. Each is one choice, for the pods that the rounds before left
//! over.

mod ordering;
mod placed_pods;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_placement::NodeId;
use flyball_placement::pack::{Demand, Growth, Work, pack_each, settle};

pub(super) use self::placed_pods::take;
use super::candidates::Candidates;
use super::expansion_option::{ExpansionOption, columns, granted, growth};
use super::families::{Domain, Domains, Family, domain_text};
use super::{PlanContext, zones};
use crate::choose::{Chooser, choose};
use crate::demand::{UnplacedPods, list};
use crate::limits::ClusterLimits;
use crate::record::Round;
use crate::state::ClusterState;
use crate::zone_orders::ZoneOrder;
use flyball_decision::event::Event;
use flyball_decision::expander::ExpanderInput;
use flyball_decision::hash::split_mix;
use flyball_decision::memory::PolicyMemories;
use flyball_decision::policy::WantedInput;

/// The rounds of a plan.
pub(super) struct Rounds<'a> {
    context: &'a PlanContext<'a>,
    pub(super) candidates: Candidates<'a>,
    pub(super) limits: ClusterLimits,
    /// Number of nodes ordered so far.
    pub(super) added: u32,
    /// Existing and upcoming nodes, and those ordered so far that stay in the simulation
    /// because the places of their pods decide where others may go.
    known: Vec<NodeId>,
    /// Steps of packing so far.
    pub(super) work: &'a Work,
    /// The options chosen so far.
    pub(super) chosen: Vec<ChosenOption>,
    /// The states of the expanders, updated from one choice to the next.
    memories: PolicyMemories,
    /// Records of the rounds so far.
    pub(super) records: Vec<Round>,
    /// Orders of nodes that help only in some zones, each with the index of its round.
    pub(super) zone_orders: Vec<(usize, ZoneOrder)>,
    /// Lines for the log.
    pub(super) log: Vec<String>,
    /// Events about expanders that failed, were swapped or rolled back.
    pub(super) expander_events: Vec<Event>,
}

/// An option that was chosen.
pub(super) struct ChosenOption {
    /// Index of the round.
    pub(super) round: usize,
    /// Rows of the groups that grow together.
    pub(super) rows: Vec<usize>,
    /// Slots of the pods that it helps.
    pub(super) helped: Vec<u32>,
}

/// Row of a group, and the number of nodes ordered of it.
type Ordered = (usize, u32);

impl<'a> Rounds<'a> {
    /// Prepares the rounds. `known` are the existing and upcoming nodes.
    pub(super) fn new(
        context: &'a PlanContext<'a>,
        candidates: Candidates<'a>,
        limits: ClusterLimits,
        known: Vec<NodeId>,
        work: &'a Work,
    ) -> Self {
        Self {
            context,
            candidates,
            limits,
            added: 0,
            known,
            work,
            chosen: Vec::new(),
            memories: context.memories.clone(),
            records: Vec::new(),
            zone_orders: Vec::new(),
            log: Vec::new(),
            expander_events: Vec::new(),
        }
    }

    /// Chooses until all pods are helped, no group helps, or the maximum number of
    /// choices or nodes is reached. Returns the reason and its sentence if the expanders
    /// chose no option.
    pub(super) fn run(
        &mut self,
        state: &mut ClusterState,
        unplaced: &mut Vec<UnplacedPods>,
    ) -> Option<(String, String)> {
        for number in 0..self.context.options.max_options_per_pass {
            if unplaced.is_empty() || self.left_of_pass() == Some(0) {
                return None;
            }
            let seed = split_mix(self.context.seed.wrapping_add(number as u64));
            let demands = demands_of(unplaced);
            let families = self.families(state, &demands, seed);
            let mut options = self.estimate(state, &demands, families);
            let most = self.most_nodes();
            let (candidates, known, work) = (&mut self.candidates, &self.known, self.work);
            let uncertain =
                zones::options(state, candidates, known, &demands, &options, most, work);
            options.extend(uncertain);
            if options.is_empty() {
                return None;
            }
            let mut round = self.choose(state, &demands, &options, seed);
            let Some(chosen) = round.choice.row.and_then(|row| options.get(row as usize)) else {
                let held = (round.choice.reason.clone(), round.choice.message.clone());
                self.records.push(round);
                return Some(held);
            };
            let chosen = &self.settled(state, &demands, chosen);
            let ordered = self.order(chosen, &options, &mut round);
            if let Some(zones_by_class) = chosen
                .zones_by_class
                .as_ref()
                .filter(|_| !ordered.is_empty())
            {
                let candidate = &mut self.candidates.all[chosen.first()];
                let orders = zones::orders(state, candidate, zones_by_class, &demands, unplaced);
                round.helps_in = zones::zone_names(&orders);
                let number = self.records.len();
                self.zone_orders
                    .extend(orders.into_iter().map(|order| (number, order)));
            }
            let helped = self.help(state, &demands, chosen, &ordered, unplaced);
            self.chosen.push(ChosenOption {
                round: self.records.len(),
                rows: chosen.family.rows.clone(),
                helped,
            });
            self.records.push(round);
        }
        None
    }

    /// Adds the pods that each round helps to its record.
    pub(super) fn list_helped(&mut self, state: &ClusterState) {
        for chosen in &self.chosen {
            self.records[chosen.round].helped = list(state, chosen.helped.iter());
        }
    }

    /// Asks the expanders to choose among some options. Orders nothing yet.
    fn choose(
        &mut self,
        state: &ClusterState,
        demands: &[Demand],
        options: &[ExpansionOption],
        seed: u64,
    ) -> Round {
        let mut input = ExpanderInput {
            options: Arc::new(columns(state, &self.candidates, demands, options)),
            cluster_node_count: Some(state.size().nodes),
        };
        let grant = |wanted: &WantedInput| granted(&self.candidates, options, wanted);
        let chooser = Chooser {
            now: self.context.now,
            options: self.context.options,
            engine: self.context.engine,
            memories: &self.memories,
            grant: &grant,
        };
        let chosen = choose(&chooser, &mut input, seed);
        for expander in &chosen.expanders {
            self.memories.commit(expander, true);
        }
        self.expander_events.extend(chosen.events);
        Round {
            domain: None,
            helps_in: Vec::new(),
            input,
            seed,
            expanders: chosen.expanders,
            unasked: Some(chosen.unasked),
            choice: chosen.choice,
            guard: None,
            steps: Vec::new(),
            orders: Vec::new(),
            helped: list(state, std::iter::empty()),
        }
    }

    /// The families of groups. Asks the expanders which group stands in for a domain if
    /// several could.
    fn families(&mut self, state: &mut ClusterState, demands: &[Demand], seed: u64) -> Vec<Family> {
        let domains = Domains::new(&self.candidates);
        let mut best: BTreeMap<Domain, usize> = BTreeMap::new();
        let unsettled = domains.unsettled(&self.candidates).into_iter();
        let unsettled: Vec<(Domain, Vec<Family>)> = unsettled
            .map(|(domain, rows)| (domain.clone(), rows.iter().copied().map(Family::of)))
            .map(|(domain, families)| (domain, families.collect()))
            .collect();
        for (domain, families) in unsettled {
            let options = self.estimate(state, demands, families);
            if options.is_empty() {
                continue;
            }
            let mut round = self.choose(state, demands, &options, seed);
            let row = round.choice.row.and_then(|row| options.get(row as usize));
            if let Some(option) = row {
                best.insert(domain.clone(), option.first());
            }
            round.domain = Some(domain_text(&domain, self.candidates.keys));
            self.records.push(round);
        }
        domains.families(&self.candidates, &best)
    }

    /// Estimates an option for every family that has room for some of the pods.
    fn estimate(
        &self,
        state: &mut ClusterState,
        demands: &[Demand],
        families: Vec<Family>,
    ) -> Vec<ExpansionOption> {
        let most = self.most_nodes();
        let growths = families.iter().map(|family| {
            let alone = family.rows.len() == 1;
            let room = |row: usize| match alone {
                true => self.candidates.room(&self.candidates.with_similar(row)),
                false => self.candidates.all[row].room(),
            };
            growth(&self.candidates, family, room, most)
        });
        let Some(growths) = growths.collect::<Option<Vec<Growth<'_>>>>() else {
            return Vec::new();
        };
        let packed = pack_each(
            state.cluster_mut(),
            &self.known,
            &growths,
            demands,
            self.work,
        );
        let options = families.into_iter().zip(packed);
        let mut options: Vec<ExpansionOption> = options
            .filter_map(|(family, packed)| ExpansionOption::new(family, packed))
            .collect();
        // Families that differ only in groups that get no node are the same option.
        let mut seen = BTreeSet::new();
        options.retain(|option| seen.insert(option.parts.clone()));
        options
    }

    /// Returns the option with the nodes that it needs if all of them are present from
    /// the beginning. It is as estimated if the pods don't depend on the places of
    /// others, or if the nodes of one group are split over similar ones.
    fn settled(
        &self,
        state: &mut ClusterState,
        demands: &[Demand],
        option: &ExpansionOption,
    ) -> ExpansionOption {
        let placed = demands.iter().zip(&option.packed.placed);
        let mut placed = placed.filter(|(_, placed)| **placed > 0);
        let coupled = placed.any(|(demand, _)| {
            let bonds = state.cluster().bonds(demand.class);
            bonds.affinity || bonds.spread
        });
        let split =
            self.candidates.with_similar(option.first()).len() > 1 && option.parts.len() == 1;
        let room = |row: usize| self.candidates.all[row].room();
        let growth = growth(&self.candidates, &option.family, room, self.most_nodes());
        // An option in an uncertain zone stays at one node.
        let settles = coupled && !split && option.zones_by_class.is_none();
        let settled = growth.filter(|_| settles).and_then(|growth| {
            let cluster = state.cluster_mut();
            let (found, work) = (&option.packed, self.work);
            let packed = settle(cluster, &self.known, &growth, demands, found, work);
            ExpansionOption::new(option.family.clone(), Arc::new(packed))
        });
        settled.unwrap_or_else(|| option.clone())
    }

    /// Maximum number of nodes of an estimate.
    fn most_nodes(&self) -> u32 {
        let total = self.limits.max_nodes;
        let total = total.map(|max| max.saturating_sub(self.limits.size.nodes));
        let pass = self.left_of_pass();
        total.unwrap_or(u32::MAX).min(pass.unwrap_or(u32::MAX))
    }

    /// Number of nodes that this pass may still add. `None` if it is not limited.
    fn left_of_pass(&self) -> Option<u32> {
        self.left_after(self.added)
    }

    /// Number of nodes that a pass may still add after `added`. `None` if it is not
    /// limited.
    pub(super) fn left_after(&self, added: u32) -> Option<u32> {
        let most = self.context.options.max_nodes_per_scale_up;
        (most > 0).then(|| most.saturating_sub(added))
    }
}

pub(super) fn demands_of(unplaced: &[UnplacedPods]) -> Vec<Demand> {
    unplaced.iter().map(UnplacedPods::demand).collect()
}
