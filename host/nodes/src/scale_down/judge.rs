//! Asks the scale-down policies about pods and nodes, and combines their answers.
//!
//! ```text
//!  pods of candidates ──▶ scale-down-pods of each policy ──▶ strictest verdict, sum of costs
//!                                                                   │
//!  candidates ──────────▶ scale-down-nodes of each policy ──▶ strictest verdict, longest
//!                                                             time, scores in order
//! ```
//!
//! Rows are independent, so verdicts are kept, and only rows that changed, or whose verdict
//! has run out, are asked about again.

mod columns;
mod compose;
mod kept;
mod rows;

use std::sync::Arc;

use smallvec::SmallVec;

use self::columns::PodTable;
pub(super) use self::columns::{NodeTable, group_columns};
pub(super) use self::compose::filled;
use self::compose::{compose_nodes, compose_pods};
pub(crate) use self::kept::KeptVerdicts;
use super::candidates::Candidate;
use super::plan::ScaleDownContext;
use crate::reasons::Stay;
use crate::record::{NodesAsked, PodsAsked, ScaleDownQuestions};
use crate::state::ClusterState;
use flyball_decision::ask::{Asker, Named, Panel};
use flyball_decision::context::GrantedInput;
use flyball_decision::event::Event;
use flyball_decision::part::Part;
use flyball_decision::policy::WantedInput;
use flyball_decision::question::{Question, ScaleDownNodesQuestion, ScaleDownPodsQuestion};
use flyball_decision::scale_down::{GroupColumns, MAX_ROWS};

/// Scores of the policies, in the order of the chain.
pub(super) type Scores = SmallVec<[f64; 4]>;

/// What happens to a pod when its node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodAction {
    /// It is evicted, and finds room elsewhere.
    Evict,
    /// It is evicted at best, and not waited for: a pod of a DaemonSet.
    DaemonSet,
    /// It runs to its end first.
    Wait,
}

/// A pod that is not simply left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JudgedPod {
    /// Its slot in the state.
    pub(super) slot: u32,
    pub(super) action: PodAction,
}

/// A candidate and the verdict of the policies.
#[derive(Clone, Debug)]
pub(super) struct JudgedNode {
    pub(super) node: Candidate,
    /// Pods to evict or wait for, in the order of their names.
    pub(super) pods: Arc<[JudgedPod]>,
    /// Why it stays. `None` if it may go.
    pub(super) stay: Option<Stay>,
    pub(super) scores: Scores,
    /// How long it must have been unneeded; 0 if no policy says so.
    pub(super) unneeded_ms: i64,
    /// Cost of moving its pods.
    pub(super) cost: f64,
    /// See [`UnneededNode::utilization`](super::plan::UnneededNode::utilization).
    pub(super) utilization: f64,
}

impl JudgedNode {
    /// Whether no pod has to be evicted or waited for.
    pub(super) fn is_empty(&self) -> bool {
        let mut pods = self.pods.iter();
        !pods.any(|pod| pod.action != PodAction::DaemonSet)
    }
}

/// The verdicts about all candidates.
pub(super) struct Verdicts {
    pub(super) nodes: Vec<JudgedNode>,
    pub(super) questions: ScaleDownQuestions,
    pub(super) events: Vec<Event>,
}

/// Asks about candidates whose verdicts are not known.
pub(super) fn judge(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    nodes: Vec<Candidate>,
    kept: &mut KeptVerdicts,
) -> Verdicts {
    kept.forget_changed(context, state);
    let mut judge = Judge {
        context,
        state,
        questions: ScaleDownQuestions::default(),
        events: Vec::new(),
    };
    judge.pods(&nodes, kept);
    judge.nodes(&nodes, kept);
    let Judge {
        questions, events, ..
    } = judge;
    let nodes = nodes.into_iter();
    Verdicts {
        nodes: nodes.filter_map(|node| kept.judged(node)).collect(),
        questions,
        events,
    }
}

/// The questions of one pass.
struct Judge<'a> {
    context: &'a ScaleDownContext<'a>,
    state: &'a ClusterState,
    questions: ScaleDownQuestions,
    events: Vec<Event>,
}

impl Judge<'_> {
    /// Asks about the pods of nodes that are not known.
    fn pods(&mut self, nodes: &[Candidate], kept: &mut KeptVerdicts) {
        let now = self.context.now;
        let unknown = nodes.iter().filter(|node| !kept.knows_pods(node, now));
        let unknown: Vec<&Candidate> = unknown.collect();
        let mut groups = None;
        let mut table = PodTable::new(self.context, self.state);
        for node in unknown {
            if !table.is_empty() && table.len() + self.state.pods_on(&node.name).count() > MAX_ROWS
            {
                let full = std::mem::replace(&mut table, PodTable::new(self.context, self.state));
                self.ask_pods(full, &mut groups, kept);
            }
            table.add(node);
        }
        self.ask_pods(table, &mut groups, kept);
    }

    fn ask_pods(
        &mut self,
        table: PodTable<'_>,
        groups: &mut Option<Arc<GroupColumns>>,
        kept: &mut KeptVerdicts,
    ) {
        let groups = groups.get_or_insert_with(|| {
            // What seldom changes of a group, so that verdicts can be kept.
            Arc::new(group_columns(self.context, self.state, false))
        });
        let (mut input, rows) = table.finish(Arc::clone(groups));
        let parts = match rows.slots.is_empty() {
            true => Vec::new(),
            false => ask_chain::<ScaleDownPodsQuestion>(self.context, &mut input, &mut self.events),
        };
        compose_pods(self.context, self.state, &input, &rows, &parts, kept);
        if !parts.is_empty() {
            let names = rows.pod_names(self.state);
            self.questions.pods.push(PodsAsked {
                input,
                names,
                policies: parts,
            });
        }
    }

    /// Asks about the nodes that changed.
    fn nodes(&mut self, nodes: &[Candidate], kept: &mut KeptVerdicts) {
        let groups = Arc::new(group_columns(self.context, self.state, true));
        kept.note_groups(&groups);
        let now = self.context.now;
        let unknown = nodes.iter().filter(|node| !kept.knows_node(node, now));
        let unknown: Vec<&Candidate> = unknown.collect();
        for chunk in unknown.chunks(MAX_ROWS) {
            let mut table = NodeTable::new(self.context);
            for node in chunk {
                if let Some(pods) = kept.get(&node.name) {
                    table.add(node, pods);
                }
            }
            let mut input = table.finish(Arc::clone(&groups));
            let parts =
                ask_chain::<ScaleDownNodesQuestion>(self.context, &mut input, &mut self.events);
            compose_nodes(self.context, chunk, &input, &parts, kept);
            if !parts.is_empty() {
                self.questions.nodes.push(NodesAsked {
                    input,
                    names: chunk.iter().map(|node| Arc::clone(&node.name)).collect(),
                    policies: parts,
                });
            }
        }
    }
}

/// Asks all policies of the chain that answer this question.
pub(super) fn ask_chain<Q: Question<Own = ()>>(
    context: &ScaleDownContext<'_>,
    input: &mut Q::Input,
    events: &mut Vec<Event>,
) -> Vec<Part<Q>> {
    let chain = &context.options.scale_down.policies;
    let answers = |name: &str| {
        let policy = context.engine.policy(Q::KIND, name);
        policy.map_or(true, |policy| policy.answers(Q::INTERFACE))
    };
    let chain = chain.iter().filter(|choice| answers(&choice.name));
    let named = chain.map(|choice| Named {
        name: &choice.name,
        configuration: &choice.configuration,
    });
    let refuse = |wanted: &WantedInput| {
        GrantedInput::refused(format!("scale-down has no input {}", wanted.kind))
    };
    let asker = Asker {
        now: context.now,
        seed: context.seed,
        engine: context.engine,
        fallback: context.options.fallback,
        memories: context.memories,
        grant: &refuse,
    };
    let mut panel = Panel::<Q>::new(asker, named);
    let places = 0..panel.count();
    let parts = places
        .filter_map(|place| panel.ask(place, input, |_| ()))
        .collect();
    for event in panel.events {
        if !events.contains(&event) {
            events.push(event);
        }
    }
    parts
}

/// Compares scores in the order of the chain.
pub(super) fn compare_scores(a: &Scores, b: &Scores) -> std::cmp::Ordering {
    let orders = a.iter().zip(b).map(|(a, b)| a.total_cmp(b));
    orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
}
