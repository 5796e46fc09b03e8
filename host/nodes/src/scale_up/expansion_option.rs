//! Expansion options: ways to place pending pods, and their columns for expanders.

use std::sync::Arc;

use flyball_placement::pack::{Demand, Growth, Packed, Part};
use flyball_placement::{Labels, Name, Resources};

use super::candidates::{Candidate, Candidates};
use super::families::Family;
use super::zones::ZonesByClass;
use crate::gpu::gpus;
use crate::state::{ClusterState, zone_of};
use crate::templates::GroupTemplate;
use flyball_decision::context::GrantedInput;
use flyball_decision::expander::{OptionColumns, option_state};
use flyball_decision::policy::WantedInput;
use flyball_decision::row_wish::{RowText, RowWish};
use flyball_decision::scale_down::Texts;

/// Label with a node's instance type.
const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";

/// A way to place pending pods: more nodes of one group, or of several.
#[derive(Clone)]
pub(super) struct ExpansionOption {
    /// Rows of the groups, and the number of new nodes of each.
    pub(super) parts: Vec<(usize, u32)>,
    /// The estimate for the groups of `family`.
    pub(super) packed: Arc<Packed>,
    pub(super) family: Family,
    /// The pods that the node helps only in some zones, if the option is one node whose
    /// zone the cloud chooses. `None` for any other option.
    pub(super) zones_by_class: Option<ZonesByClass>,
}

impl ExpansionOption {
    /// Creates an option. Returns `None` if the estimate needs no node.
    pub(super) fn new(family: Family, packed: Arc<Packed>) -> Option<Self> {
        let parts = family
            .rows
            .iter()
            .copied()
            .zip(packed.nodes.iter().copied());
        let parts: Vec<(usize, u32)> = parts.filter(|(_, nodes)| *nodes > 0).collect();
        (!parts.is_empty()).then_some(Self {
            parts,
            packed,
            family,
            zones_by_class: None,
        })
    }

    /// The group that the option is named after.
    pub(super) fn first(&self) -> usize {
        self.parts[0].0
    }
}

/// The nodes by which a family may grow, at most `limit` of each group and `max_nodes` in
/// all. Returns `None` if a group has no template; groups that may grow have one.
pub(super) fn growth<'a>(
    candidates: &'a Candidates<'_>,
    family: &Family,
    limit: impl Fn(usize) -> u32,
    max_nodes: u32,
) -> Option<Growth<'a>> {
    let parts = family.rows.iter().map(|&row| {
        let candidate = &candidates.all[row];
        Some(Part {
            template: &candidate.template()?.template,
            size: candidate.target,
            max_nodes: limit(row),
            stand_in: family.stand_ins.contains(&row),
        })
    });
    Some(Growth {
        parts: parts.collect::<Option<_>>()?,
        max_nodes,
    })
}

/// Returns the columns of some options.
pub(super) fn columns(
    state: &ClusterState,
    candidates: &Candidates<'_>,
    demands: &[Demand],
    options: &[ExpansionOption],
) -> OptionColumns {
    let mut columns = OptionColumns::default();
    let mut texts = Texts::default();
    let mut summed: Option<(&Arc<Packed>, Resources)> = None;
    for option in options {
        // Consecutive groups often share an estimate.
        let requested = match summed.take() {
            Some((packed, requested)) if Arc::ptr_eq(packed, &option.packed) => requested,
            _ => {
                let placed = demands.iter().zip(&option.packed.placed_on_new);
                let placed = placed.map(|(demand, count)| (demand.class, *count));
                state.cluster().requests_of_all(placed)
            }
        };
        push(&mut columns, &mut texts, candidates, option, &requested);
        summed = Some((&option.packed, requested));
    }
    columns.texts = texts.into_column();
    columns
}

fn push(
    columns: &mut OptionColumns,
    texts: &mut Texts,
    candidates: &Candidates<'_>,
    option: &ExpansionOption,
    requested: &Resources,
) {
    let parts: Vec<(&Candidate<'_>, &GroupTemplate, u32)> = option
        .parts
        .iter()
        .filter_map(|(row, nodes)| {
            let candidate = &candidates.all[*row];
            Some((candidate, candidate.template()?, *nodes))
        })
        .collect();
    let Some((first, ..)) = parts.first() else {
        return;
    };
    let nodes: u32 = parts.iter().map(|(_, _, nodes)| nodes).sum();
    let mean = |amount: &dyn Fn(&GroupTemplate) -> i64| {
        let all = parts.iter();
        let all = all.map(|(_, template, nodes)| i128::from(amount(template)) * i128::from(*nodes));
        i64::try_from(all.sum::<i128>() / i128::from(nodes.max(1))).unwrap_or(i64::MAX)
    };
    let price = parts.iter().map(|(candidate, _, nodes)| {
        let price = candidate.group.price?;
        Some(price * f64::from(*nodes))
    });
    let price = match parts.as_slice() {
        [(only, ..)] => only.group.price,
        _ => price.sum::<Option<f64>>().map(|all| all / f64::from(nodes)),
    };
    let gpu = |resources: &Resources| gpus(resources).saturating_mul(1000);
    let mut state = option_state::EXISTS | option_state::HAS_TEMPLATE;
    if parts.iter().any(|(_, template, _)| template.has_gpus) {
        state |= option_state::HAS_GPU;
    }
    let sizes = |size: &dyn Fn(&Candidate<'_>) -> u32| {
        let sizes = parts.iter().map(|(candidate, ..)| size(candidate));
        sizes.fold(0, u32::saturating_add)
    };
    if parts.len() > 1 {
        let row = u32::try_from(columns.len()).unwrap_or(u32::MAX);
        for (candidate, _, nodes) in &parts {
            columns.part_option.push(row);
            columns
                .part_node_group
                .push(Arc::clone(&candidate.group.name));
            columns.part_node_count.push(*nodes);
        }
    }
    columns.node_group.push(Arc::clone(&first.group.name));
    columns.state.push(state);
    columns.node_count.push(nodes);
    columns.pod_count.push(option.packed.pods());
    columns.requested_cpu.push(requested.cpu);
    columns.requested_memory.push(requested.memory);
    columns.requested_gpu.push(gpu(requested));
    columns
        .capacity_cpu
        .push(mean(&|template| template.capacity.cpu));
    columns
        .capacity_memory
        .push(mean(&|template| template.capacity.memory));
    columns
        .capacity_gpu
        .push(mean(&|template| gpu(&template.capacity)));
    columns
        .allocatable_cpu
        .push(mean(&|template| allocatable(template).cpu));
    columns
        .allocatable_memory
        .push(mean(&|template| allocatable(template).memory));
    columns
        .allocatable_gpu
        .push(mean(&|template| gpu(allocatable(template))));
    let templates: Vec<_> = parts.iter().map(|(_, template, _)| *template).collect();
    let zone = shared(&templates, &|labels| zone_of(labels).cloned());
    let instance_type = shared(&templates, &|labels| labels.get(INSTANCE_TYPE).cloned());
    columns.zone.push(texts.row_or_none(zone.as_ref()));
    columns
        .instance_type
        .push(texts.row_or_none(instance_type.as_ref()));
    columns.node_price.push(price);
    columns.pod_price.push(None);
    columns
        .current_size
        .push(sizes(&|candidate| candidate.target));
    columns
        .min_size
        .push(sizes(&|candidate| candidate.group.min_size));
    columns
        .max_size
        .push(sizes(&|candidate| candidate.group.max_size));
}

/// Returns the label that new nodes of these groups have in common.
fn shared(templates: &[&GroupTemplate], label: &dyn Fn(&Labels) -> Option<Name>) -> Option<Name> {
    let labels = templates.iter();
    let mut values = labels.map(|template| label(&template.template.node.labels));
    let first = values.next().flatten()?;
    values
        .all(|other| other.as_ref() == Some(&first))
        .then_some(first)
}

/// Grants an input that an expander wants, with a row for each option: a label of its new
/// nodes. New nodes have no annotations.
pub(super) fn granted(
    candidates: &Candidates<'_>,
    options: &[ExpansionOption],
    wanted: &WantedInput,
) -> GrantedInput {
    RowWish::grant(wanted, |wish| {
        let label = |option: &ExpansionOption| {
            let rows = option.parts.iter();
            let templates = rows.filter_map(|(row, _)| candidates.all[*row].template());
            let templates: Vec<_> = templates.collect();
            shared(&templates, &|labels| labels.get(&wish.key).cloned())
        };
        let texts: Vec<_> = match wish.of {
            RowText::NodeLabel => options.iter().map(label).collect(),
            RowText::NodeAnnotation => vec![None; options.len()],
            RowText::PodLabel | RowText::PodAnnotation | RowText::NamespaceLabel => return None,
        };
        Some(texts.into_iter())
    })
}

fn allocatable(template: &GroupTemplate) -> &Resources {
    &template.template.node.allocatable
}
