//! Batches of pods to ask about: their rows, and the nodes they are on.
//!
//! Where a batch ends depends on the pods alone, so that the questions, and with them the
//! records, are the same on every machine.

use std::sync::mpsc;
use std::thread;

use hashbrown::DefaultHashBuilder;

use super::columns::{AskedPod, MAX_PODS, PodTable};
use super::compose::PodVerdict;
use super::kept::{KeptPod, PodNodeKey};
use super::open::{ByName, OpenNodes, OpenPod};
use super::rows::{Fingerprint, PodRow, RowMaker};
use crate::scale_down::candidates::Candidate;
use crate::scale_down::wishes::Wishes;
use crate::state::{ClusterState, PodView};
use flyball_decision::time::Timestamp;

/// Number of batches that may wait for the policies.
const WAITING: usize = 2;

/// Pods that are asked about together.
pub(super) struct PodBatch<'a> {
    /// The pods without a verdict. Their places count from the batch's first pod.
    pub(super) table: PodTable<'a>,
    /// The nodes of all pods of the batch. The first one may have begun in the batch before.
    pub(super) nodes: OpenNodes<'a>,
}

/// A node of which some verdicts about pods are not known.
pub(super) struct UnknownNode<'a> {
    pub(super) node: &'a Candidate,
    pub(super) key: PodNodeKey,
    /// Verdicts of which some may still hold, ordered by slot.
    pub(super) known: Box<[KeptPod]>,
}

/// Makes the batches of nodes.
pub(super) struct PodBatches<'a> {
    pub(super) now: Timestamp,
    pub(super) state: &'a ClusterState,
    pub(super) wishes: &'a Wishes,
    pub(super) hasher: DefaultHashBuilder,
    pub(super) nodes: &'a [UnknownNode<'a>],
    /// Priority below which pods are expendable: they go with their node, as in Cluster
    /// Autoscaler, and count as if they were not there.
    pub(super) cutoff: i32,
}

impl<'a> PodBatches<'a> {
    /// Returns the pods of a node that count.
    fn pods_on(&self, node: &Candidate) -> impl Iterator<Item = PodView<'a>> {
        let pods = self.state.pods_on(&node.name);
        pods.filter(|pod| pod.priority >= self.cutoff)
    }

    /// Calls `take` with each batch, in order. Makes the batches in a second thread if there
    /// are several.
    pub(super) fn for_each(&self, mut take: impl FnMut(PodBatch<'a>)) {
        let nodes = self.nodes.iter();
        let pods = nodes.map(|unknown| self.pods_on(unknown.node).count());
        let pods = pods.sum();
        if pods <= MAX_PODS {
            return self.make(pods, take);
        }
        let is_made = thread::scope(|scope| {
            let (sender, batches) = mpsc::sync_channel(WAITING);
            let make = move || {
                self.make(pods, |batch| {
                    // The receiver is gone if `take` panicked, and then nobody needs it.
                    let _ = sender.send(batch);
                });
            };
            let thread = thread::Builder::new().name("scale-down-rows".to_owned());
            let is_made = thread.spawn_scoped(scope, make).is_ok();
            batches.into_iter().for_each(&mut take);
            is_made
        });
        // The system may have no thread left.
        if !is_made {
            self.make(pods, take);
        }
    }

    fn make(&self, pods: usize, mut take: impl FnMut(PodBatch<'a>)) {
        let new_batch = || PodBatch {
            table: PodTable::new(pods),
            nodes: OpenNodes::default(),
        };
        let mut rows = RowMaker::new(self.now, self.state);
        let mut by_name = ByName::default();
        let mut made = MadeRows::default();
        let mut batch = new_batch();
        for unknown in self.nodes {
            let UnknownNode { node, key, known } = unknown;
            batch.nodes.start(node, key.clone());
            for pod in by_name.sort(self.pods_on(node)) {
                let row = rows.row(pod);
                let texts = self.wishes.texts_of_pod(self.state, pod);
                let fingerprint = Fingerprint::of(&self.hasher, &row, &texts);
                let verdict = kept_verdict(known, pod.slot, fingerprint, self.now);
                let texts = [&key.texts, &texts];
                while verdict.is_none() && !batch.table.has_room(node, texts) {
                    made.write(node, &mut batch);
                    take(std::mem::replace(&mut batch, new_batch()));
                    batch.nodes.start(node, key.clone());
                }
                made.add(pod, fingerprint, row, verdict);
            }
            made.write(node, &mut batch);
        }
        take(batch);
    }
}

/// Rows of a node's pods that are not in their batch yet.
///
/// The memory of a batch is not in the cache, and a processor that reads a structure which was
/// just written in other pieces waits for all of its writes. So rows are made in memory that
/// stays in the cache, and written to the batch column by column.
#[derive(Default)]
struct MadeRows<'a> {
    /// All pods.
    pods: Vec<OpenPod>,
    /// Those without a verdict.
    asked: Vec<AskedPod<'a>>,
}

impl<'a> MadeRows<'a> {
    fn add(
        &mut self,
        pod: &PodView<'a>,
        fingerprint: Fingerprint,
        row: PodRow<'a>,
        verdict: Option<PodVerdict>,
    ) {
        let &PodView { slot, key, .. } = pod;
        let is_asked = verdict.is_none();
        self.pods.push(OpenPod {
            slot,
            fingerprint,
            facts: row.facts,
            requests: row.requests,
            verdict,
        });
        if is_asked {
            let at = self.pods.len() - 1;
            self.asked.push(AskedPod { slot, key, at, row });
        }
    }

    /// Moves the rows to a batch, whose last node is theirs.
    fn write(&mut self, node: &'a Candidate, batch: &mut PodBatch<'a>) {
        let first = batch.nodes.add(&mut self.pods);
        if !self.asked.is_empty() {
            batch.table.add(node, &self.asked, first);
            self.asked.clear();
        }
    }
}

/// Returns the verdict about a row that is known and holds. `known` is ordered by slot.
fn kept_verdict(
    known: &[KeptPod],
    slot: u32,
    fingerprint: Fingerprint,
    now: Timestamp,
) -> Option<PodVerdict> {
    let at = known.binary_search_by_key(&slot, |pod| pod.slot).ok()?;
    let verdict = known[at].verdict.as_ref()?;
    let holds = known[at].fingerprint == fingerprint && now < verdict.until;
    holds.then(|| verdict.clone())
}
