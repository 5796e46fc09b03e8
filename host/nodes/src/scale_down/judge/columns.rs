//! The columns of questions about pods and nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::PodAction;
use super::kept::KeptNode;
use super::rows::{PodRow, row_of, time};
use crate::gpu::{gpus, has_gpus};
use crate::record::PodNames;
use crate::scale_down::candidates::{Candidate, is_disabled};
use crate::scale_down::plan::ScaleDownContext;
use crate::scale_down::wishes::RowTexts;
use crate::state::ClusterState;
use flyball_decision::context::GrantedInput;
use flyball_decision::key::ObjectKey;
use flyball_decision::row_wish::MAX_TEXT_BYTES;
use flyball_decision::scale_down::{
    GroupColumns, MAX_ROWS, NO_ROW, NONE, NodeColumns, PodColumns, PodNodeColumns,
    ScaleDownNodesInput, ScaleDownPodsInput, Texts, group_state, node_state,
};

/// Number of pods that one question is about. The contract allows [`MAX_ROWS`]. So many stay
/// in the cache of a core, and in the memory of a component that stays resident.
pub(super) const MAX_PODS: usize = 4_096;

const _: () = assert!(MAX_PODS <= MAX_ROWS);

fn group_row(node: &Candidate) -> i32 {
    i32::try_from(node.group).unwrap_or(NO_ROW)
}

/// The groups of the census. `sizes`: with what changes often, such as their targets.
pub(in crate::scale_down) fn group_columns(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    sizes: bool,
) -> GroupColumns {
    let mut columns = GroupColumns::default();
    for census in &context.census.groups {
        let group = &census.group;
        let own = &group.scale_down;
        let mut bits = match group.spot {
            Some(true) => group_state::SPOT,
            Some(false) => group_state::ON_DEMAND,
            None => 0,
        };
        if own.zero_or_max {
            bits |= group_state::ALL_OR_NONE;
        }
        let size = |size: u32| if sizes { size } else { 0 };
        let ready = match sizes {
            true => census.ready_nodes(state, context.options),
            false => 0,
        };
        columns.name.push(Arc::clone(&group.name));
        columns.state.push(bits);
        columns.min_size.push(group.min_size);
        columns.max_size.push(group.max_size);
        columns.target_size.push(size(group.target_size));
        columns.ready_nodes.push(ready);
        columns.node_price.push(group.price);
        let price = group
            .price
            .map(|price| price * f64::from(group.target_size));
        columns.price.push(price.filter(|_| sizes));
        columns.cost.push(None);
        columns
            .utilization_threshold
            .push(own.utilization_threshold);
        let gpu = own.gpu_utilization_threshold;
        columns.gpu_utilization_threshold.push(gpu);
        columns
            .unneeded_time_ms
            .push(own.unneeded_time_ms.unwrap_or(NONE));
        columns
            .unready_time_ms
            .push(own.unready_time_ms.unwrap_or(NONE));
        let ignore = own.ignore_daemonsets_utilization;
        columns
            .ignore_daemon_sets
            .push(ignore.map_or(-1, i32::from));
    }
    columns
}

/// A pod without a verdict.
pub(super) struct AskedPod<'a> {
    pub(super) slot: u32,
    pub(super) key: &'a ObjectKey,
    /// Its place among the pods of its node that are added with it.
    pub(super) at: usize,
    pub(super) row: PodRow<'a>,
}

/// Pods to ask about.
pub(super) struct PodTable<'a> {
    pods: PodColumns,
    nodes: PodNodeColumns,
    pod_texts: Texts,
    node_texts: Texts,
    /// The namespace of the last pod, and its row.
    namespace: Option<(Arc<str>, u32)>,
    wanted: WantedTexts,
    /// Number of pods for which there is room.
    promised: usize,
    /// The node of the last one.
    promised_node: Option<usize>,
    /// The nodes of the pods.
    pub(super) candidates: Vec<&'a Candidate>,
    /// Slot of the pod of each row.
    pub(super) slots: Vec<u32>,
    /// Namespace and name of the pod of each row.
    pub(super) names: PodNames,
    /// Place of the pod of each row among those that are judged in this pass.
    pub(super) places: Vec<usize>,
}

impl<'a> PodTable<'a> {
    /// Returns an empty table, with memory for so many pods or all that it can hold.
    pub(super) fn new(pods: usize) -> Self {
        let rows = pods.min(MAX_PODS);
        Self {
            pods: PodColumns::with_capacity(rows),
            nodes: PodNodeColumns::default(),
            pod_texts: Texts::default(),
            node_texts: Texts::default(),
            namespace: None,
            wanted: WantedTexts::default(),
            promised: 0,
            promised_node: None,
            candidates: Vec::new(),
            slots: Vec::with_capacity(rows),
            names: PodNames::default(),
            places: Vec::with_capacity(rows),
        }
    }

    /// Returns whether the table has room for one more pod of a node, with what policies want
    /// of both. The pod is added later. An empty table has room for any.
    pub(super) fn has_room(&mut self, node: &Candidate, [of_node, of_pod]: [&RowTexts; 2]) -> bool {
        let is_full = self.promised == MAX_PODS;
        let of_node =
            (self.promised_node != Some(std::ptr::from_ref(node).addr())).then_some(of_node);
        if is_full || !self.wanted.add(of_node, of_pod) {
            return false;
        }
        self.promised += 1;
        self.promised_node = Some(std::ptr::from_ref(node).addr());
        true
    }

    /// Adds the rows of a node's pods. `first`: the place of the pod that they count from.
    pub(super) fn add(&mut self, node: &'a Candidate, pods: &[AskedPod<'a>], first: usize) {
        let row = row_of(self.candidates.len());
        self.add_node(node);
        let columns = &mut self.pods;
        columns.node.extend(pods.iter().map(|_| row));
        PodRow::write(pods.iter().map(|pod| &pod.row), columns);
        for pod in pods {
            let namespace = self.namespace_row(pod.row.namespace);
            self.pods.namespace.push(namespace);
        }
        // The names were just read to sort them. Later each would be read from memory again.
        self.names.extend(pods.iter().map(|pod| pod.key));
        self.slots.extend(pods.iter().map(|pod| pod.slot));
        self.places.extend(pods.iter().map(|pod| first + pod.at));
    }

    fn namespace_row(&mut self, namespace: &Arc<str>) -> u32 {
        match &self.namespace {
            Some((last, row)) if Arc::ptr_eq(last, namespace) => *row,
            _ => {
                let row = self.pod_texts.row(namespace);
                self.namespace = Some((Arc::clone(namespace), row));
                row
            }
        }
    }

    fn add_node(&mut self, node: &'a Candidate) {
        let texts = &mut self.node_texts;
        let columns = &mut self.nodes;
        columns.group.push(group_row(node));
        columns.zone.push(texts.row_or_none(node.zone.as_ref()));
        let instance_type = texts.row_or_none(node.instance_type.as_ref());
        columns.instance_type.push(instance_type);
        columns.created_ms.push(time(node.created));
        columns.price.push(node.price);
        self.candidates.push(node);
    }

    /// Takes the input of the question.
    pub(super) fn input(&mut self, groups: Arc<GroupColumns>) -> ScaleDownPodsInput {
        self.pods.texts = std::mem::take(&mut self.pod_texts).into_column();
        self.nodes.texts = std::mem::take(&mut self.node_texts).into_column();
        ScaleDownPodsInput {
            groups,
            nodes: Arc::new(std::mem::take(&mut self.nodes)),
            pods: Arc::new(std::mem::take(&mut self.pods)),
        }
    }
}

/// Size of the texts that policies want of the rows of one question.
#[derive(Default)]
pub(super) struct WantedTexts {
    bytes: usize,
    /// Texts by wish: each counts once.
    known: BTreeSet<(usize, Arc<str>)>,
}

impl WantedTexts {
    /// Counts the texts of a row, and of its node if that is new. Returns false if there
    /// are too many beside the rows before.
    pub(super) fn add(&mut self, of_node: Option<&RowTexts>, of_pod: &RowTexts) -> bool {
        let of_node = of_node.into_iter().flatten().enumerate();
        let of_pod = of_pod.iter().enumerate();
        // Wishes of nodes have the even numbers.
        let all = of_node
            .map(|(at, text)| (2 * at, text))
            .chain(of_pod.map(|(at, text)| (2 * at + 1, text)));
        let before = self.bytes;
        for (wish, text) in all {
            let text = text
                .iter()
                .find(|text| text.len() <= GrantedInput::MAX_TEXT);
            if let Some(text) = text
                && self.known.insert((wish, Arc::clone(text)))
            {
                self.bytes += text.len();
            }
        }
        before == 0 || self.bytes <= MAX_TEXT_BYTES
    }
}

/// Nodes to ask about.
pub(in crate::scale_down) struct NodeTable<'a> {
    context: &'a ScaleDownContext<'a>,
    columns: NodeColumns,
    texts: Texts,
    wanted: WantedTexts,
    /// The nodes, by row.
    pub(super) candidates: Vec<&'a Candidate>,
}

impl<'a> NodeTable<'a> {
    pub(in crate::scale_down) fn new(context: &'a ScaleDownContext<'a>) -> Self {
        Self {
            context,
            columns: NodeColumns::default(),
            texts: Texts::default(),
            wanted: WantedTexts::default(),
            candidates: Vec::new(),
        }
    }

    /// Returns whether the table has room for a node with these texts, which is added next.
    pub(super) fn has_room(&mut self, texts: &RowTexts) -> bool {
        self.candidates.len() < MAX_ROWS && self.wanted.add(Some(texts), &RowTexts::new())
    }

    /// Adds a node with what is known of its pods.
    pub(in crate::scale_down) fn add(&mut self, node: &'a Candidate, known: &KeptNode) {
        self.candidates.push(node);
        let columns = &mut self.columns;
        columns.group.push(group_row(node));
        columns
            .zone
            .push(self.texts.row_or_none(node.zone.as_ref()));
        let instance_type = self.texts.row_or_none(node.instance_type.as_ref());
        columns.instance_type.push(instance_type);
        let awaited = known.pods.iter();
        let awaited = awaited.filter(|pod| pod.action != PodAction::DaemonSet);
        let count = awaited.count();
        let spot = match node.spot {
            Some(true) => node_state::SPOT,
            Some(false) => node_state::ON_DEMAND,
            None => 0,
        };
        let bits = [
            (node.ready, node_state::READY),
            (count == 0, node_state::EMPTY),
            (is_disabled(&node.annotations), node_state::DISABLED),
            (
                has_gpus(&node.object, self.context.options),
                node_state::GPU,
            ),
        ];
        let bits = bits.into_iter().filter(|(is_set, _)| *is_set);
        columns
            .state
            .push(bits.fold(spot, |bits, (_, bit)| bits | bit));
        columns.created_ms.push(time(node.created));
        let unready_since = node.ready_since.filter(|_| !node.ready);
        columns
            .unready_since_ms
            .push(unready_since.map_or(NONE, time));
        columns
            .pods_changed_ms
            .push(node.last_pod_change.map_or(NONE, time));
        columns
            .unneeded_since_ms
            .push(node.unneeded_since.map_or(NONE, time));
        let amount = |amount: i64| if amount > 0 { amount } else { NONE };
        let allocatable = &node.object.allocatable;
        columns.allocatable_cpu.push(amount(allocatable.cpu));
        columns.allocatable_memory.push(amount(allocatable.memory));
        columns.allocatable_gpu.push(amount(gpus(allocatable)));
        let all = known.requested.all;
        columns.requested_cpu.push(all.cpu);
        columns.requested_memory.push(all.memory);
        columns.requested_gpu.push(all.gpu);
        let daemons = known.requested.of_daemon_sets;
        columns.daemon_set_cpu.push(daemons.cpu);
        columns.daemon_set_memory.push(daemons.memory);
        columns.daemon_set_gpu.push(daemons.gpu);
        let mirrors = known.requested.of_mirrors;
        columns.mirror_cpu.push(mirrors.cpu);
        columns.mirror_memory.push(mirrors.memory);
        columns.mirror_gpu.push(mirrors.gpu);
        columns.price.push(node.price);
        columns.pod_count.push(row_of(count));
        columns.cost.push(known.cost);
    }

    /// Takes the input of the question.
    pub(in crate::scale_down) fn input(
        &mut self,
        groups: Arc<GroupColumns>,
    ) -> ScaleDownNodesInput {
        self.columns.texts = std::mem::take(&mut self.texts).into_column();
        ScaleDownNodesInput {
            groups,
            nodes: Arc::new(std::mem::take(&mut self.columns)),
        }
    }
}
