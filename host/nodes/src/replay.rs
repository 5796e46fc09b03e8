//! Replay of node decisions. The choices, their guardrails, and the answers of scale-down
//! policies are replayed; the packing that made the options, and that found room for the
//! pods of nodes that leave, is not.

mod answers;

use serde::Serialize;

pub use self::answers::{JudgedOtherwise, RemovalAnswers};
use super::choose::walk_chain;
use super::guard::guarded;
use super::record::{Choice, NodeDecisionRecord, NodeVerdict, Order, Round};
use flyball_decision::ask::StateBudget;
use flyball_decision::replay::{Again, Asking, Decided, Unavailable};

/// What a replay compares: the orders, and what policies said about removals.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeDecision {
    /// The orders and their reason.
    #[serde(flatten)]
    pub verdict: NodeVerdict,
    /// The answers about removals, from which [`NodeDecision::judged_otherwise`] makes a
    /// list of differences.
    #[serde(skip)]
    pub answers: RemovalAnswers,
}

impl NodeDecision {
    /// Returns the rows of a record's questions about removals that this decision judges
    /// otherwise than the record does.
    #[must_use]
    pub fn judged_otherwise(&self, record: &NodeDecisionRecord) -> Vec<JudgedOtherwise> {
        let questions = record.scale_down.as_ref().map(|record| &record.questions);
        questions.map_or_else(Vec::new, |questions| self.answers.compare(questions))
    }
}

impl Decided for NodeDecisionRecord {
    type Verdict = NodeDecision;

    fn verdict(&self) -> NodeDecision {
        let questions = self.scale_down.as_ref().map(|record| &record.questions);
        let mut verdict = self.verdict.clone();
        verdict.shorten();
        NodeDecision {
            verdict,
            answers: questions.map(RemovalAnswers::of).unwrap_or_default(),
        }
    }

    fn decide_again(&self, again: &mut Again<'_>) -> Result<Option<NodeDecision>, Unavailable> {
        let questions = self.scale_down.as_ref().map(|record| &record.questions);
        let questions = questions.filter(|questions| !questions.is_empty());
        if self.rounds.is_empty() && questions.is_none() {
            return Ok(None);
        }
        let mut verdict = match self.rounds.is_empty() {
            true => self.verdict.clone(),
            false => order_again(self, again)?,
        };
        verdict.shorten();
        let answers = match questions {
            Some(questions) => RemovalAnswers::again(questions, again)?,
            None => RemovalAnswers::default(),
        };
        Ok(Some(NodeDecision { verdict, answers }))
    }
}

/// Makes the choices again, and the orders of those that stay the same.
fn order_again(
    record: &NodeDecisionRecord,
    again: &mut Again<'_>,
) -> Result<NodeVerdict, Unavailable> {
    let mut orders = Vec::new();
    let mut held = None;
    for round in &record.rounds {
        let choice = choose_again(round, again)?;
        let mut recorded = round.choice.clone();
        recorded.shorten();
        let guard = round.guard.as_ref().filter(|_| choice.row.is_some());
        let same = choice == recorded;
        if same {
            orders.extend(guard.map(|guard| guarded(guard).1).unwrap_or_default());
        }
        if !same || !orders.ends_with(&round.orders) {
            return Ok(of_choice(orders, choice));
        }
        held = Some(choice).filter(|choice| choice.row.is_none() && round.domain.is_none());
    }
    Ok(match held {
        Some(choice) if orders.is_empty() => of_choice(orders, choice),
        _ => NodeVerdict {
            orders,
            ..record.verdict.clone()
        },
    })
}

fn of_choice(orders: Vec<Order>, choice: Choice) -> NodeVerdict {
    NodeVerdict {
        orders,
        reason: choice.reason,
        message: choice.message,
    }
}

/// Asks the recorded chain again. Each expander is asked about the rows that those before
/// it leave in the replay.
fn choose_again(round: &Round, again: &mut Again<'_>) -> Result<Choice, Unavailable> {
    let unasked = round.unasked.as_deref();
    let mut budget = unasked.map(|unasked| StateBudget::before(&round.expanders, unasked));
    let mut unavailable = None;
    let (_, choice) = walk_chain(
        &mut round.input.clone(),
        round.seed,
        |place, rows, input| {
            let asking = Asking {
                input,
                own: &rows.to_vec(),
                budget: budget.as_ref().map(|budget| (budget, place)),
            };
            match again.part(round.expanders.get(place)?, asking) {
                Ok(part) => {
                    if let Some(budget) = &mut budget {
                        budget.took(place, &part);
                    }
                    Some(part)
                }
                Err(error) => {
                    unavailable = Some(error);
                    None
                }
            }
        },
    );
    unavailable.map_or(Ok(choice), Err)
}
