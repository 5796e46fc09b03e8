//! Nodes whose pods are judged in this pass, until the policies have answered.
//!
//! The pods of a node are far apart in the state. What is needed of a pod after its row was
//! made is kept here, so that each pod is read from the state once. After each batch of pods
//! the nodes before the last one are finished, so that this stays small.

use super::compose::{PodVerdict, compose_node_of_pods};
use super::kept::{KeptPod, KeptVerdicts, NodeRequests, PodNodeKey, Requests};
use super::rows::{Fingerprint, HostFacts};
use crate::scale_down::candidates::Candidate;
use crate::state::{ClusterState, PodView};
use flyball_decision::time::Timestamp;

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
    pub(super) slot: u32,
    pub(super) fingerprint: Fingerprint,
    pub(super) facts: HostFacts,
    pub(super) requests: Requests,
    /// `None` until the policies have answered.
    pub(super) verdict: Option<PodVerdict>,
}

/// The open nodes, and their pods in the order of the nodes.
#[derive(Default)]
pub(super) struct OpenNodes<'n> {
    nodes: Vec<OpenNode<'n>>,
    pods: OpenPods,
}

/// Columns of the pods of open nodes.
#[derive(Default)]
struct OpenPods {
    slots: Vec<u32>,
    fingerprints: Vec<Fingerprint>,
    bits: Vec<u32>,
    untils: Vec<Timestamp>,
    /// `None` until the policies have answered.
    verdicts: Vec<Option<PodVerdict>>,
}

impl OpenPods {
    fn append(&mut self, other: &mut Self) {
        self.slots.append(&mut other.slots);
        self.fingerprints.append(&mut other.fingerprints);
        self.bits.append(&mut other.bits);
        self.untils.append(&mut other.untils);
        self.verdicts.append(&mut other.verdicts);
    }

    /// Takes the first pods.
    fn take(&mut self, count: usize) -> impl ExactSizeIterator<Item = (KeptPod, HostFacts)> {
        let facts = self.bits.drain(..count).zip(self.untils.drain(..count));
        let fingerprints = self.fingerprints.drain(..count);
        let slots = self.slots.drain(..count).zip(fingerprints);
        let verdicts = self.verdicts.drain(..count);
        let pods = slots.zip(verdicts).zip(facts);
        pods.map(|(((slot, fingerprint), verdict), (bits, until))| {
            let kept = KeptPod {
                slot,
                fingerprint,
                verdict,
            };
            (kept, HostFacts { bits, until })
        })
    }
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

    /// Moves pods to the last node. Returns the place of the first one.
    pub(super) fn add(&mut self, pods: &mut Vec<OpenPod>) -> usize {
        if let Some(node) = self.nodes.last_mut() {
            for pod in &*pods {
                node.requested.add(pod.facts, pod.requests);
            }
            node.count += pods.len();
        }
        let first = self.pods.slots.len();
        let all = &mut self.pods;
        all.slots.extend(pods.iter().map(|pod| pod.slot));
        let fingerprints = pods.iter().map(|pod| pod.fingerprint);
        all.fingerprints.extend(fingerprints);
        all.bits.extend(pods.iter().map(|pod| pod.facts.bits));
        all.untils.extend(pods.iter().map(|pod| pod.facts.until));
        all.verdicts.extend(pods.drain(..).map(|pod| pod.verdict));
        first
    }

    /// Sets the verdict about the pod at a place.
    pub(super) fn set(&mut self, place: usize, verdict: PodVerdict) {
        self.pods.verdicts[place] = Some(verdict);
    }

    /// Adds the nodes and pods of the next batch. If its first node is the last one here, it
    /// goes on. Returns the place of the batch's first pod.
    pub(super) fn append(&mut self, mut next: Self) -> usize {
        let first = self.pods.slots.len();
        self.pods.append(&mut next.pods);
        for node in next.nodes {
            match self.nodes.last_mut() {
                Some(last) if std::ptr::eq(last.node, node.node) => {
                    last.requested.add_all(&node.requested);
                    last.count += node.count;
                }
                _ => self.nodes.push(node),
            }
        }
        first
    }

    /// Returns the facts of the pod at a place.
    pub(super) fn facts(&self, place: usize) -> HostFacts {
        HostFacts {
            bits: self.pods.bits[place],
            until: self.pods.untils[place],
        }
    }

    /// Combines the verdicts about the pods of each node and keeps them, but for so many
    /// nodes at the end. Places of their pods begin at 0 afterwards.
    pub(super) fn finish(&mut self, state: &ClusterState, kept: &mut KeptVerdicts, open: usize) {
        let finished = self.nodes.len().saturating_sub(open);
        let nodes: Vec<_> = self.nodes.drain(..finished).collect();
        let count: usize = nodes.iter().map(|node| node.count).sum();
        let mut pods = self.pods.take(count);
        for node in nodes {
            let pods = pods.by_ref().take(node.count);
            let (verdicts, of_pods) = compose_node_of_pods(state, pods);
            kept.keep_pods(node, verdicts, of_pods);
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
