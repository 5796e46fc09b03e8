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

mod batches;
mod columns;
mod compose;
mod kept;
mod open;
mod rows;

use std::sync::Arc;

use smallvec::SmallVec;

use self::batches::{PodBatches, UnknownNode};
use self::columns::PodTable;
pub(super) use self::columns::{NodeTable, group_columns};
pub(super) use self::compose::filled;
use self::compose::{PodComposer, compose_nodes};
pub(crate) use self::kept::KeptVerdicts;
use self::kept::PodNodeKey;
use self::open::OpenNodes;
use super::candidates::Candidate;
use super::plan::ScaleDownContext;
use super::wishes::{self, Wishes};
use crate::reasons::Stay;
use crate::record::{NodesAsked, PodsAsked, ScaleDownQuestions};
use crate::state::ClusterState;
use flyball_decision::ask::{Asker, Named, Panel};
use flyball_decision::context::GrantedInput;
use flyball_decision::event::Event;
use flyball_decision::part::Part;
use flyball_decision::policy::WantedInput;
use flyball_decision::question::{Question, ScaleDownNodesQuestion, ScaleDownPodsQuestion};
use flyball_decision::scale_down::GroupColumns;

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
    pub(super) stay: Option<Arc<Stay>>,
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
        wishes: Wishes::of(context.options, context.engine),
        questions: ScaleDownQuestions::default(),
        events: Vec::new(),
    };
    judge.pods(&nodes, kept);
    judge.nodes(&nodes, kept);
    let Judge {
        questions, events, ..
    } = judge;
    // `collect` does not know how many are left, and would grow the list step by step.
    let mut judged = Vec::with_capacity(nodes.len());
    judged.extend(nodes.into_iter().filter_map(|node| kept.judged(node)));
    Verdicts {
        nodes: judged,
        questions,
        events,
    }
}

/// The questions of one pass.
struct Judge<'a> {
    context: &'a ScaleDownContext<'a>,
    state: &'a ClusterState,
    wishes: Wishes,
    questions: ScaleDownQuestions,
    events: Vec<Event>,
}

impl Judge<'_> {
    /// Asks about pods whose verdicts are not known. Rows of many pods are made in a thread of
    /// their own, while the policies answer about those before them.
    fn pods(&mut self, nodes: &[Candidate], kept: &mut KeptVerdicts) {
        let now = self.context.now;
        // What seldom changes of a group, so that verdicts can be kept.
        let groups = Arc::new(group_columns(self.context, self.state, false));
        kept.note_pod_groups(&groups);
        let mut unknown = Vec::new();
        for node in nodes {
            let key = PodNodeKey::of(node, self.wishes.texts_of_node(node));
            if !kept.knows_pods(&node.name, &key, now) {
                let known = kept.take_pods(&node.name, &key);
                unknown.push(UnknownNode { node, key, known });
            }
        }
        kept.reserve(unknown.iter().map(|unknown| unknown.node));
        let wishes = std::mem::take(&mut self.wishes);
        let batches = PodBatches {
            now,
            state: self.state,
            wishes: &wishes,
            hasher: kept.hasher.clone(),
            nodes: &unknown,
            cutoff: self.context.options.expendable_pods_priority_cutoff,
        };
        let mut open = OpenNodes::default();
        batches.for_each(|batch| {
            let first = open.append(batch.nodes);
            self.ask_pods(batch.table, &groups, &mut open, first);
            open.finish(self.state, kept, 1);
        });
        open.finish(self.state, kept, 0);
        self.wishes = wishes;
    }

    /// Asks about the pods of a table, and files their verdicts. `first`: where the pods of
    /// the table's batch begin among the open ones.
    fn ask_pods(
        &mut self,
        mut table: PodTable<'_>,
        groups: &Arc<GroupColumns>,
        open: &mut OpenNodes<'_>,
        first: usize,
    ) {
        if table.slots.is_empty() {
            return;
        }
        let mut input = table.input(Arc::clone(groups));
        let state = self.state;
        let granted = |wanted: &WantedInput| {
            wishes::grant(state, wanted, Some(&table.slots), &table.candidates)
        };
        let parts = ask_chain::<ScaleDownPodsQuestion>(
            self.context,
            &mut input,
            &granted,
            &mut self.events,
        );
        let mut composer = PodComposer::new(self.context.now, &parts, groups, &table);
        for (at, &place) in table.places.iter().enumerate() {
            let place = first + place;
            let verdict = composer.verdict(at, open.facts(place));
            open.set(place, verdict);
        }
        if !parts.is_empty() {
            self.questions.pods.push(PodsAsked {
                input,
                names: table.names,
                policies: parts,
            });
        }
    }

    /// Asks about the nodes that changed.
    fn nodes(&mut self, nodes: &[Candidate], kept: &mut KeptVerdicts) {
        let groups = Arc::new(group_columns(self.context, self.state, true));
        kept.note_groups(&groups);
        let now = self.context.now;
        let mut table = NodeTable::new(self.context);
        for node in nodes {
            if kept.knows_node(node, now) {
                continue;
            }
            let texts = self.wishes.texts_of_node(node);
            while !table.has_room(&texts) {
                let full = std::mem::replace(&mut table, NodeTable::new(self.context));
                self.ask_nodes(full, &groups, kept);
            }
            if let Some(pods) = kept.get(&node.name) {
                table.add(node, pods);
            }
        }
        self.ask_nodes(table, &groups, kept);
    }

    fn ask_nodes(
        &mut self,
        mut table: NodeTable<'_>,
        groups: &Arc<GroupColumns>,
        kept: &mut KeptVerdicts,
    ) {
        if table.candidates.is_empty() {
            return;
        }
        let mut input = table.input(Arc::clone(groups));
        let (state, nodes) = (self.state, table.candidates);
        let granted = |wanted: &WantedInput| wishes::grant(state, wanted, None, &nodes);
        let parts = ask_chain::<ScaleDownNodesQuestion>(
            self.context,
            &mut input,
            &granted,
            &mut self.events,
        );
        compose_nodes(self.context, &nodes, &input, &parts, kept);
        if !parts.is_empty() {
            self.questions.nodes.push(NodesAsked {
                input,
                names: nodes.iter().map(|node| Arc::clone(&node.name)).collect(),
                policies: parts,
            });
        }
    }
}

/// Asks all policies of the chain that answer this question.
pub(super) fn ask_chain<Q: Question<Own = ()>>(
    context: &ScaleDownContext<'_>,
    input: &mut Q::Input,
    grant: &dyn Fn(&WantedInput) -> GrantedInput,
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
    let asker = Asker {
        now: context.now,
        seed: context.seed,
        engine: context.engine,
        fallback: context.options.fallback,
        memories: context.memories,
        grant,
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
