//! Moves: unneeded nodes that leave, and nodes that are replaced by fewer or cheaper ones.
//! Only if a policy of the chain answers `scale-down-moves`.
//!
//! ```text
//!  propose ────────────▶ ask ─────────────────▶ order of the policies ──▶ simulate once more
//!  each removable node,  scale-down-moves of    strictest verdict,        moves share room:
//!  each node and sets    each policy            scores in the order       what no longer
//!  of nodes by cheaper                          of the chain              fits waits
//! ```

mod columns;
mod compose;
mod propose;
pub mod take;
mod targets;
pub mod under_way;

use std::sync::Arc;

use self::columns::questions;
use self::compose::{Judgement, in_order};
use self::propose::Proposals;
use self::targets::Target;
use super::candidates::Candidate;
use super::judge::{JudgedNode, KeptVerdicts, ask_chain};
use super::plan::ScaleDownContext;
use super::removals::SimulatedRemovals;
use super::wishes;
use crate::reasons::Stay;
use crate::record::{MovesAsked, ScaleDownQuestions};
use crate::state::ClusterState;
use flyball_decision::event::Event;
use flyball_decision::policy::{WantedInput, interface, kind};
use flyball_decision::question::ScaleDownMovesQuestion;
use flyball_decision::time::Timestamp;

/// A policy is asked again after this time at the earliest.
const MIN_AGAIN_MS: i64 = 1000;

/// A move that policies are asked about.
#[derive(Clone, Debug)]
pub(super) struct ProposedMove {
    /// Indices of the judged nodes that leave, in their order.
    pub(super) leaving: Vec<usize>,
    /// The nodes that come in their place. `None` for a plain removal.
    pub(super) coming: Option<Coming>,
    /// Price of the nodes that leave, for an hour. `None` if one is not known.
    pub(super) price_before: Option<f64>,
    /// Price of the nodes that come, for an hour.
    pub(super) price_after: Option<f64>,
    /// Budgets that allow no further disruption after it.
    pub(super) exhausted_budgets: u32,
}

/// Nodes that come in the place of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coming {
    /// Index of the target in the list of targets.
    pub(super) target: usize,
    /// Number of nodes.
    pub(super) count: u32,
}

/// The moves that the policies take, in their order, and why nodes stay whose moves they
/// leave.
pub(super) struct Judged {
    pub(super) taken: Vec<ProposedMove>,
    /// Why a node stays that could be removed, by its index.
    pub(super) left: Vec<(usize, Arc<Stay>)>,
    pub(super) targets: Vec<Target>,
    /// When a policy wants to be asked again.
    pub(super) again: Option<Timestamp>,
}

/// Whether a policy of the chain answers `scale-down-moves`.
pub(super) fn are_judged(context: &ScaleDownContext<'_>) -> bool {
    let mut chain = context.options.scale_down.policies.iter();
    chain.any(|choice| {
        let policy = context.engine.policy(kind::SCALE_DOWN, &choice.name);
        policy.is_ok_and(|policy| policy.answers(interface::SCALE_DOWN_MOVES))
    })
}

/// The smallest age of a pod whose node is replaced, in milliseconds.
pub(super) fn min_pod_age_ms(context: &ScaleDownContext<'_>) -> i64 {
    let options = &context.options.scale_down;
    options
        .min_pod_age_ms
        .max(options.replacement_min_pod_age_ms)
}

/// Moves to ask about, and the groups whose nodes come in them.
pub(super) struct Proposed {
    moves: Vec<ProposedMove>,
    targets: Vec<Target>,
    /// When the first pod is old enough that is too young to move now.
    pub(super) old_enough: Option<Timestamp>,
}

/// Proposes moves. `removable` are the indices of the nodes that can be removed one after the
/// other. `removals` is the cluster without the empty ones of them, which leave in any case.
pub(super) fn propose(
    removals: &mut SimulatedRemovals<'_>,
    context: &ScaleDownContext<'_>,
    nodes: &[JudgedNode],
    removable: &[usize],
) -> Proposed {
    let targets = targets::targets(context, removals.state);
    let moves = Proposals::new(context, removals, nodes, &targets).all(removable);
    Proposed {
        moves,
        targets,
        old_enough: removals.old_enough,
    }
}

/// Asks the policies about moves.
pub(super) fn judge_moves(
    state: &ClusterState,
    context: &ScaleDownContext<'_>,
    nodes: &[JudgedNode],
    proposed: Proposed,
    kept: &KeptVerdicts,
    (recorded, events): (&mut ScaleDownQuestions, &mut Vec<Event>),
) -> Judged {
    let Proposed { moves, targets, .. } = proposed;
    let mut judgements = Vec::new();
    let mut again: Option<Timestamp> = None;
    for mut question in questions(context, state, nodes, moves, &targets, kept) {
        let input = &mut question.input;
        let leaving = question.rows.iter().map(|&at| &nodes[at].node);
        let leaving: Vec<&Candidate> = leaving.collect();
        let granted = |wanted: &WantedInput| wishes::grant(state, wanted, None, &leaving);
        let policies = ask_chain::<ScaleDownMovesQuestion>(context, input, &granted, events);
        for answer in policies.iter().filter_map(|part| part.answer.as_ref().ok()) {
            let wish = answer.again_after_ms.map(|after| {
                let after = i64::try_from(after).unwrap_or(i64::MAX);
                context.now.plus(after.max(MIN_AGAIN_MS))
            });
            again = again.into_iter().chain(wish).min();
        }
        let asked = MovesAsked {
            input: question.input.clone(),
            names: question.names.clone(),
            policies,
        };
        judgements.extend(compose::compose(question, &asked.policies));
        recorded.moves.push(asked);
    }
    let (taken, left) = in_order(judgements);
    Judged {
        taken: taken.into_iter().map(|judged| judged.proposed).collect(),
        left: left.into_iter().filter_map(Judgement::of_removal).collect(),
        targets,
        again,
    }
}
