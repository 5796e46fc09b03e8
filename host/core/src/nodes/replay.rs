//! Decides the choices of a record again, and whether the verdict is the same.

use std::sync::Arc;

use super::choose::{consult, walk};
use super::guard::guarded;
use super::record::{ExpanderRecord, NodeDecisionRecord, NodeVerdict, RankingAnswer, Round};
use crate::policy::{ExpanderPolicy, PolicyFailure};

/// What replaying a record shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeReplay {
    /// The verdict is the same.
    Same,
    /// The orders differ from some choice on. The choices after it depend on it, and are
    /// not decided again.
    Differs {
        /// As recorded.
        was: NodeVerdict,
        /// Orders up to and with the choice that differs.
        now: NodeVerdict,
    },
    /// No expander was asked.
    NothingAsked,
    /// An expander of the record is not available.
    PolicyUnavailable {
        /// Its name.
        name: Arc<str>,
        /// `sha256:…` of the component that answered.
        digest: Arc<str>,
    },
}

/// Decides `record` again. `resolve` finds the expander that is to answer for one
/// of the record. What something from outside ended is taken from the record.
pub fn replay(
    record: &NodeDecisionRecord,
    resolve: impl Fn(&ExpanderRecord) -> Option<Arc<dyn ExpanderPolicy>>,
) -> NodeReplay {
    if record.rounds.is_empty() {
        return NodeReplay::NothingAsked;
    }
    let mut orders = Vec::new();
    for round in &record.rounds {
        let mut missing = None;
        let ask = |position: usize, rows: &[u32]| {
            let part = round.expanders.get(position)?;
            let again = ask_again(part, round, rows, &resolve);
            if again.is_none() {
                missing = Some(part);
            }
            again
        };
        let (_, choice) = walk(&round.input, round.seed, ask);
        if let Some(part) = missing {
            return unavailable(part);
        }
        let guard = round.guard.as_ref().filter(|_| choice.row.is_some());
        let same = choice == round.choice;
        if same {
            orders.extend(guard.map(|guard| guarded(guard).1).unwrap_or_default());
        }
        if !same || !orders.ends_with(&round.orders) {
            let now = NodeVerdict {
                orders,
                reason: choice.reason,
                message: choice.message,
            };
            let was = record.verdict.clone();
            return NodeReplay::Differs { was, now };
        }
    }
    if orders == record.verdict.orders {
        return NodeReplay::Same;
    }
    let now = NodeVerdict {
        orders,
        ..record.verdict.clone()
    };
    NodeReplay::Differs {
        was: record.verdict.clone(),
        now,
    }
}

fn unavailable(part: &ExpanderRecord) -> NodeReplay {
    let digest = part
        .version
        .as_ref()
        .map(|version| Arc::clone(&version.digest));
    NodeReplay::PolicyUnavailable {
        name: Arc::clone(&part.name),
        digest: digest.unwrap_or_default(),
    }
}

/// An expander's part, or that of its fallback if it fails again.
fn ask_again(
    part: &ExpanderRecord,
    round: &Round,
    rows: &[u32],
    resolve: &impl Fn(&ExpanderRecord) -> Option<Arc<dyn ExpanderPolicy>>,
) -> Option<ExpanderRecord> {
    let one = |part: &ExpanderRecord| {
        if from_outside(part) {
            return Some(part.clone());
        }
        let policy = resolve(part)?;
        let context = part.context.clone();
        Some(consult(&part.name, &*policy, context, &round.input, rows))
    };
    let Some(failed) = &part.failed else {
        return one(part);
    };
    let failed = one(failed)?;
    match failed.answer {
        RankingAnswer::Ranking(_) => Some(failed),
        RankingAnswer::Failure(_) => one(part),
    }
}

/// A failure that is no function of the input.
fn from_outside(part: &ExpanderRecord) -> bool {
    matches!(
        &part.answer,
        RankingAnswer::Failure(
            PolicyFailure::Interrupted(_)
                | PolicyFailure::Missing(_)
                | PolicyFailure::Quarantined(_)
        )
    )
}
