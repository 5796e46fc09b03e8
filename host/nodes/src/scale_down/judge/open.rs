//! Nodes whose pods are judged in this pass, until the policies have answered.
//!
//! The pods of a node are far apart in the state. What is needed of a pod after its row was
//! made is kept here, so that each pod is read from the state once. When a table of pods is
//! full, it is asked about, and the nodes before the last one are finished, so that this
//! stays small.

use super::compose::{PodVerdict, compose_node_of_pods};
use super::kept::{KeptPod, KeptVerdicts, NodeRequests, PodNodeKey};
use super::rows::{HostFacts, PodRow};
use crate::scale_down::candidates::Candidate;
use crate::state::{ClusterState, PodView};

/// Length of the part of a name that is compared first.
const PREFIX_BYTES: usize = size_of::<u128>();

/// A node of which some verdicts about pods are not known.
pub(super) struct OpenNode<'n> {
    pub(super) node: &'n Candidate,
    pub(super) key: PodNodeKey,
    pub(super) requested: NodeRequests,
    /// Number of its pods so far.
    count: usize,
}

/// A pod of an open node.
pub(super) struct OpenPod {
    pub(super) kept: KeptPod,
    pub(super) facts: HostFacts,
}

/// The open nodes, and their pods in the order of the nodes.
#[derive(Default)]
pub(super) struct OpenNodes<'n> {
    nodes: Vec<OpenNode<'n>>,
    pods: Vec<OpenPod>,
}

impl<'n> OpenNodes<'n> {
    /// Adds a node without pods. The pods that are added next are its own.
    pub(super) fn start(&mut self, node: &'n Candidate, key: PodNodeKey) {
        self.nodes.push(OpenNode {
            node,
            key,
            requested: NodeRequests::default(),
            count: 0,
        });
    }

    /// The place of the pod that is added next.
    pub(super) fn next_place(&self) -> usize {
        self.pods.len()
    }

    /// Adds a pod to the last node.
    pub(super) fn add(&mut self, kept: KeptPod, row: &PodRow<'_>) {
        if let Some(node) = self.nodes.last_mut() {
            node.requested.add(row);
            node.count += 1;
        }
        let facts = row.facts;
        self.pods.push(OpenPod { kept, facts });
    }

    /// Sets the verdict about the pod at a place.
    pub(super) fn answer(&mut self, place: usize, verdict: impl FnOnce(HostFacts) -> PodVerdict) {
        let pod = &mut self.pods[place];
        pod.kept.verdict = Some(verdict(pod.facts));
    }

    /// Combines the verdicts about the pods of each node and keeps them, but for so many
    /// nodes at the end. Places of their pods begin at 0 afterwards.
    pub(super) fn finish(&mut self, state: &ClusterState, kept: &mut KeptVerdicts, open: usize) {
        let finished = self.nodes.len().saturating_sub(open);
        let nodes: Vec<_> = self.nodes.drain(..finished).collect();
        let count: usize = nodes.iter().map(|node| node.count).sum();
        let mut pods = self.pods.drain(..count);
        kept.reserve(nodes.len());
        for node in nodes {
            let count = node.count;
            let of_pods = compose_node_of_pods(state, &pods.as_slice()[..count]);
            let verdicts = pods.by_ref().take(count).map(|pod| pod.kept);
            kept.keep_pods(node, verdicts.collect(), of_pods);
        }
    }
}

/// Pods in the order of their names. Reuses its memory from node to node.
#[derive(Default)]
pub(super) struct ByName<'a> {
    pods: Vec<PodView<'a>>,
    /// First bytes of each pod's name, and its place in `pods`.
    order: Vec<(u128, u32)>,
}

impl<'a> ByName<'a> {
    /// Sorts pods by name, then by namespace.
    pub(super) fn sort(
        &mut self,
        pods: impl Iterator<Item = PodView<'a>>,
    ) -> impl ExactSizeIterator<Item = &PodView<'a>> {
        self.pods.clear();
        self.pods.extend(pods);
        let pods = &self.pods;
        // Reads what rows are made of in a short loop, in which the processor waits for the
        // memory of many pods at the same time.
        let times = pods
            .iter()
            .map(|pod| (pod.facts.created, pod.facts.deletion));
        std::hint::black_box(times.max());
        self.order.clear();
        let prefixes = pods.iter().map(|pod| prefix(&pod.key.name));
        self.order.extend(prefixes.zip(0..));
        self.order.sort_unstable_by(|a, b| {
            let name = |at: u32| {
                let key = pods[at as usize].key;
                (&*key.name, &*key.namespace)
            };
            a.0.cmp(&b.0).then_with(|| name(a.1).cmp(&name(b.1)))
        });
        self.order.iter().map(|&(_, at)| &pods[at as usize])
    }
}

/// The first bytes of a name, as a number in the same order.
fn prefix(name: &str) -> u128 {
    let mut bytes = [0; PREFIX_BYTES];
    let length = name.len().min(PREFIX_BYTES);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    u128::from_be_bytes(bytes)
}
