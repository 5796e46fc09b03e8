//! `--explain-on-nodes`: events on nodes that say why they stay.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::NodeLoop;
use crate::cloud::CloudProvider;
use crate::options::ScaleDownMode;
use crate::ports::{NodeEvent, NodesReader, NodesWriter, Subject};
use crate::reasons::{self, HostReason, Stay};
use crate::scale_down::explain::explained;
use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;

/// Maximum number of events within [`PERIOD_MS`].
const MAX_EVENTS: usize = 10;

const PERIOD_MS: i64 = 60_000;

/// Reasons without an event: the node is not ours, is leaving, or stays for a while only.
const UNEXPLAINED: &[HostReason] = &[
    reasons::NOT_AUTOSCALED,
    reasons::BEING_DELETED,
    reasons::NOT_UNNEEDED_LONG_ENOUGH,
    reasons::NOT_UNREADY_LONG_ENOUGH,
];

/// The events so far.
#[derive(Default)]
pub(super) struct NodeExplanations {
    /// Reasons that an event has given, by uid of the node. It is emitted once for each.
    given: BTreeMap<Arc<str>, BTreeSet<Reason>>,
    /// Times of the latest events.
    times: VecDeque<Timestamp>,
}

/// Code of a node's reason, and of its pod's.
type Reason = (Arc<str>, Option<Arc<str>>);

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Returns events about nodes that stay for a reason which no event has given yet, as
    /// many as may be emitted now. The rest follows with later passes.
    pub(super) fn explain_on_nodes(&mut self, now: Timestamp) -> Vec<NodeEvent> {
        let options = &self.options.scale_down;
        if !options.explain_on_nodes || options.mode != ScaleDownMode::On {
            return Vec::new();
        }
        let NodeExplanations { given, times } = &mut self.explanations;
        times.retain(|at| now.since(*at) < PERIOD_MS);
        let left = MAX_EVENTS.saturating_sub(times.len());
        if left == 0 {
            return Vec::new();
        }
        let stays = self.last_stays.all();
        let events = self.reader.with_state(|state| {
            let nodes = state.nodes();
            let uids: BTreeSet<&Arc<str>> = nodes.map(|node| &node.facts.uid).collect();
            given.retain(|uid, _| uids.contains(uid));
            let mut events = Vec::new();
            for (name, stay) in stays {
                if events.len() == left {
                    break;
                }
                let Some(node) = state.node(name).filter(|_| is_explained(stay)) else {
                    continue;
                };
                let of_node = given.entry(Arc::clone(&node.facts.uid)).or_default();
                if of_node.insert((Arc::clone(&stay.code), stay.pod_code.clone())) {
                    let stay = explained(state, name, stay);
                    events.push(event(name, &node.facts.uid, &stay));
                }
            }
            events
        });
        times.extend(events.iter().map(|_| now));
        events
    }
}

fn is_explained(stay: &Stay) -> bool {
    UNEXPLAINED.iter().all(|reason| *reason.code != *stay.code)
}

fn event(node: &Arc<str>, uid: &Arc<str>, stay: &Stay) -> NodeEvent {
    let about = Subject::Node {
        name: Arc::clone(node),
        uid: Arc::clone(uid),
    };
    let message = format!("the node stays: {stay}");
    NodeEvent::new(about, false, "NoScaleDown", message)
}
