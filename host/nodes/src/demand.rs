//! The demand for nodes: the pods that may need new ones, filtered in Cluster
//! Autoscaler's order.

use std::sync::Arc;

use flyball_placement::pack::{Demand, Template, Work, add_template, fill, placing_order};
use flyball_placement::{ClassId, Name, NodeId};
use smallvec::{SmallVec, smallvec};

use super::gpu::gpus;
use super::nominated::{JoinedNodes, NominatedPod, NominatedPods};
use super::options::NodeOptions;
use super::record::{MAX_NAMES, Pending, PodList};
use super::state::{ClusterState, PodView};
use flyball_decision::time::Timestamp;

/// Of a namespace for whose pods packing would take too many steps, one of this many classes
/// is planned for, and one in any case.
const PUT_OFF_CLASSES: u64 = 16;

/// Slots of pods. Many classes have a single pod.
type Slots = SmallVec<[u32; 4]>;

/// Pods of one class that need a node.
#[derive(Clone, Debug)]
pub(super) struct UnplacedPods {
    /// Their class.
    pub(super) class: ClassId,
    priority: i32,
    /// Number of pods that are not placed yet: the last ones in `slots`.
    pub(super) left: u32,
    /// Slots of the pods, the oldest first.
    slots: Slots,
    /// Whether they still run on nodes that are being drained.
    drained: bool,
    /// Whether the plan leaves them out, because it would take too many steps to pack all
    /// pods of their namespace.
    pub(super) put_off: bool,
}

impl UnplacedPods {
    /// Creates an entry for a pod whose room on its nominated node was taken. Returns
    /// `None` if no nodes are ordered for such a pod.
    fn displaced(state: &ClusterState, pod: NominatedPod, options: &NodeOptions) -> Option<Self> {
        let of_daemon_set = state.pod_at(pod.slot)?.of_daemon_set();
        let wants = pod.priority >= options.expendable_pods_priority_cutoff && !of_daemon_set;
        wants.then(|| Self {
            class: state.cluster().representative(pod.class),
            priority: pod.priority,
            left: 1,
            slots: smallvec![pod.slot],
            drained: false,
            put_off: false,
        })
    }

    /// These pods as a demand of the packer.
    pub(super) fn demand(&self) -> Demand {
        Demand {
            class: self.class,
            count: self.left,
        }
    }

    /// Marks the next `count` pods as placed. Returns their slots.
    pub(super) fn take(&mut self, count: u32) -> &[u32] {
        let from = self.slots.len() - self.left as usize;
        self.left -= count.min(self.left);
        &self.slots[from..self.slots.len() - self.left as usize]
    }

    /// Slots of the pods that are left.
    pub(super) fn slots_left(&self) -> &[u32] {
        &self.slots[self.slots.len() - self.left as usize..]
    }

    /// Slots of the pods that are left, without those that still run on a node that is
    /// being drained.
    pub(super) fn waiting(&self) -> &[u32] {
        if self.drained {
            return &[];
        }
        self.slots_left()
    }

    /// Whether events are published on these pods.
    pub(super) fn gets_events(&self) -> bool {
        !self.drained
    }
}

/// A pod that needs a node. The order groups pods by class, the oldest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    /// Whether it still runs on a node that is being drained.
    drained: bool,
    class: ClassId,
    created: Timestamp,
    slot: u32,
    priority: i32,
}

impl Queued {
    fn new(state: &ClusterState, pod: &PodView<'_>, drained: bool) -> Self {
        Self {
            drained,
            class: state.cluster().representative(pod.class),
            created: pod.facts.created,
            slot: pod.slot,
            priority: pod.priority,
        }
    }
}

/// Returns the pods that need a node, in the order in which they are placed, and the
/// numbers of those that were left out. `drained` are nodes that are being drained, whose
/// pods will need room elsewhere.
pub(super) fn unplaced_pods(
    state: &ClusterState,
    now: Timestamp,
    options: &NodeOptions,
    drained: &[Arc<str>],
) -> (Vec<UnplacedPods>, Pending) {
    let mut pending = Pending::default();
    let mut queue: Vec<Queued> = Vec::with_capacity(state.unschedulable_count());
    // The scheduler makes no room on a node that is being drained.
    let nominated = drained.iter().flat_map(|node| state.nominated_to(node));
    let mut enqueue = |pod: &PodView<'_>| {
        pending.unschedulable += 1;
        if pod.priority < options.expendable_pods_priority_cutoff {
            pending.expendable += 1;
        } else if pod.of_daemon_set() {
            pending.daemon_set += 1;
        } else if is_young(pod, now, options) {
            pending.young += 1;
        } else {
            queue.push(Queued::new(state, pod, false));
        }
    };
    for (_, pods) in state.unschedulable() {
        pods.for_each(|pod| enqueue(&pod));
    }
    nominated.for_each(|pod| enqueue(&pod));
    for pod in drained.iter().flat_map(|node| state.pods_on(node)) {
        if is_recreated(&pod) && pod.priority >= options.expendable_pods_priority_cutoff {
            pending.drained += 1;
            queue.push(Queued::new(state, &pod, true));
        }
    }
    queue.sort_unstable();
    let alike = queue.chunk_by(|a, b| (a.drained, a.class) == (b.drained, b.class));
    let unplaced: Vec<UnplacedPods> = alike
        .map(|pods| UnplacedPods {
            class: pods[0].class,
            priority: pods[0].priority,
            left: u32::try_from(pods.len()).unwrap_or(u32::MAX),
            slots: pods.iter().map(|pod| pod.slot).collect(),
            drained: pods[0].drained,
            put_off: false,
        })
        .collect();
    let demands = unplaced
        .iter()
        .map(|unplaced| (unplaced.demand(), unplaced.priority));
    let order = placing_order(state.cluster(), &demands.collect::<Vec<_>>());
    let mut unordered: Vec<Option<UnplacedPods>> = unplaced.into_iter().map(Some).collect();
    let ordered = order.into_iter().filter_map(|row| unordered[row].take());
    (ordered.collect(), pending)
}

/// Removes most classes of the pods of some namespaces, which are ordered by name, and
/// returns them. `turn` decides which ones stay.
pub(super) fn put_off(
    state: &ClusterState,
    unplaced: &mut Vec<UnplacedPods>,
    namespaces: &[Name],
    turn: u64,
) -> Vec<UnplacedPods> {
    if namespaces.is_empty() {
        return Vec::new();
    }
    let row_of = |pods: &UnplacedPods| {
        let namespace = state.cluster().namespace(pods.class);
        namespaces.binary_search(namespace).ok()
    };
    let mut classes = vec![0_u64; namespaces.len()];
    for row in unplaced.iter().filter_map(row_of) {
        classes[row] += 1;
    }
    let mut turns = vec![turn % PUT_OFF_CLASSES; namespaces.len()];
    let is_put_off = |pods: &mut UnplacedPods| {
        if let Some(row) = row_of(pods) {
            pods.put_off = !turns[row].is_multiple_of(PUT_OFF_CLASSES.min(classes[row]));
            turns[row] += 1;
        }
        pods.put_off
    };
    unplaced.extract_if(.., is_put_off).collect()
}

/// Whether a pod is younger than its scale-up delay. A pod's annotation can make the
/// operator's delay longer, not shorter.
fn is_young(pod: &PodView<'_>, now: Timestamp, options: &NodeOptions) -> bool {
    let own = pod.facts.scale_up_delay_ms.unwrap_or_default();
    let delay = own.max(options.new_pod_scale_up_delay_ms);
    delay > 0 && now.since(pod.facts.created) <= delay
}

/// Whether a controller recreates the pod when its node is gone.
fn is_recreated(pod: &PodView<'_>) -> bool {
    let of_node = pod.of_daemon_set() || pod.facts.mirror;
    pod.stays() && !of_node && pod.facts.owner.is_some()
}

/// Nodes of a group that are on their way.
pub(super) struct UpcomingNodes<'a> {
    /// The shape of each.
    pub(super) template: &'a Template,
    pub(super) count: u32,
    /// Names of the nodes that have joined, but have not started.
    pub(super) starting: Vec<Arc<str>>,
}

/// Adds upcoming nodes to the simulation. Returns all nodes of it that are not being
/// drained, and the pods that are nominated to them. The caller rolls it back.
pub(super) fn add_upcoming(
    state: &mut ClusterState,
    upcoming: &[UpcomingNodes<'_>],
    drained: &[Arc<str>],
) -> (Vec<NodeId>, NominatedPods) {
    let mut joined = JoinedNodes::new();
    for upcoming in upcoming {
        add_upcoming_of(state, upcoming, &mut joined);
    }
    let nominated_pods = NominatedPods::new(state, drained, &joined);
    let cluster = state.cluster();
    let drained: Vec<NodeId> = drained
        .iter()
        .filter_map(|name| cluster.find_node(name))
        .collect();
    let nodes = cluster.node_ids();
    let nodes = nodes.filter(|node| !drained.contains(node)).collect();
    (nodes, nominated_pods)
}

/// Places pods on these nodes in the simulation. Returns the number of pods placed. The
/// caller rolls it back.
///
/// Nominated pods keep the room on their nodes, except from pods of a higher priority. A
/// pod whose room is taken is added to `unplaced`.
pub(super) fn place_on_known(
    state: &mut ClusterState,
    nodes: &[NodeId],
    mut nominated_pods: NominatedPods,
    unplaced: &mut Vec<UnplacedPods>,
    options: &NodeOptions,
    work: &Work,
) -> u32 {
    let (mut row, mut fit) = (0, 0);
    while row < unplaced.len() || nominated_pods.next_priority().is_some() {
        let priority = unplaced
            .get(row)
            .map_or(i32::MIN, |unplaced| unplaced.priority);
        let displaced = nominated_pods.place(state.cluster_mut(), priority);
        let displaced = displaced
            .into_iter()
            .filter_map(|pod| UnplacedPods::displaced(state, pod, options));
        unplaced.splice(row..row, displaced);
        let next = nominated_pods.next_priority();
        let comes_first =
            |unplaced: &UnplacedPods| next.is_none_or(|next| unplaced.priority > next);
        let rest = &mut unplaced[row..];
        let count = rest.partition_point(comes_first);
        let rest = &mut rest[..count];
        let demands: Vec<Demand> = rest.iter().map(UnplacedPods::demand).collect();
        let placed = fill(state.cluster_mut(), nodes, &demands, work);
        for (unplaced, count) in rest.iter_mut().zip(placed) {
            unplaced.take(count);
            fit += count;
        }
        row += count;
    }
    fit
}

/// Adds the upcoming nodes of one template. A node that has joined is replaced and keeps
/// its pods, except those that the template carries.
fn add_upcoming_of(
    state: &mut ClusterState,
    upcoming: &UpcomingNodes<'_>,
    known: &mut JoinedNodes,
) {
    for at in 0..upcoming.count as usize {
        let joined = upcoming.starting.get(at);
        let pods = joined.into_iter().flat_map(|name| state.pods_on(name));
        let pods =
            pods.filter(|pod| !pod.of_daemon_set() && !pod.facts.mirror && !pod.facts.has_ended());
        let pods = pods.map(|pod| (pod.class, pod.facts.deletion.is_some()));
        let pods: Vec<(ClassId, bool)> = pods.collect();
        let cluster = state.cluster_mut();
        if let Some(id) = joined.and_then(|name| cluster.find_node(name)) {
            cluster.remove_node(id);
        }
        let node = add_template(cluster, upcoming.template);
        if let Some(name) = joined {
            known.insert(Arc::clone(name), node);
        }
        for (class, terminating) in pods {
            cluster.place(class, node, terminating);
        }
    }
}

/// The number of some pods, and the names of the first.
pub(super) fn list<'a>(state: &ClusterState, slots: impl Iterator<Item = &'a u32>) -> PodList {
    let mut list = PodList::default();
    for &slot in slots {
        list.count += 1;
        if list.names.len() < MAX_NAMES
            && let Some(pod) = state.pod_at(slot)
        {
            list.names.push(pod.key.clone());
        }
    }
    list
}

/// Pods younger than this wait, so that pods which are created together are planned
/// together.
const POD_BUFFER_MS: i64 = 2_000;

/// [`POD_BUFFER_MS`] for pods that ask for GPUs.
const GPU_POD_BUFFER_MS: i64 = 30_000;

/// Returns until when a pass waits, because all pending pods are new, or all that request
/// GPUs, as in Cluster Autoscaler. `None` if it does not wait.
pub(super) fn waits_until(
    state: &ClusterState,
    now: Timestamp,
    options: &NodeOptions,
) -> Option<Timestamp> {
    let (mut oldest, mut oldest_gpu) = (None, None);
    for (class, pods) in state.unschedulable() {
        let created = pods
            .filter(|pod| pod.priority >= options.expendable_pods_priority_cutoff)
            .filter(|pod| !pod.of_daemon_set())
            .map(|pod| pod.facts.created)
            .min();
        let older = |known: Option<Timestamp>| known.into_iter().chain(created).min();
        oldest = older(oldest);
        let cluster = state.cluster();
        if cluster.requests_extended(class) && gpus(&cluster.requests(class)) > 0 {
            oldest_gpu = older(oldest_gpu);
        }
    }
    let all = oldest.map(|oldest| oldest.plus(POD_BUFFER_MS));
    let gpu = oldest_gpu.map(|oldest| oldest.plus(GPU_POD_BUFFER_MS));
    all.into_iter()
        .chain(gpu)
        .filter(|&until| until > now)
        .max()
}
