//! Replay of node decisions. The choices and the guardrails are replayed; the packing
//! that made the options is not.

use super::choose::walk_chain;
use super::guard::guarded;
use super::record::{Choice, NodeDecisionRecord, NodeVerdict, Order, Round};
use flyball_decision::ask::StateBudget;
use flyball_decision::question::ExpanderQuestion;
use flyball_decision::replay::{Again, Asking, Decided, Unavailable};

impl Decided for NodeDecisionRecord {
    type Question = ExpanderQuestion;
    type Verdict = NodeVerdict;

    fn verdict(&self) -> &NodeVerdict {
        &self.verdict
    }

    fn decide_again(
        &self,
        again: &mut Again<'_, ExpanderQuestion>,
    ) -> Result<Option<NodeVerdict>, Unavailable> {
        if self.rounds.is_empty() {
            return Ok(None);
        }
        let mut orders = Vec::new();
        let mut held = None;
        for round in &self.rounds {
            let choice = choose_again(round, again)?;
            let guard = round.guard.as_ref().filter(|_| choice.row.is_some());
            let same = choice == round.choice;
            if same {
                orders.extend(guard.map(|guard| guarded(guard).1).unwrap_or_default());
            }
            if !same || !orders.ends_with(&round.orders) {
                return Ok(Some(of_choice(orders, choice)));
            }
            held = Some(choice).filter(|choice| choice.row.is_none() && round.domain.is_none());
        }
        Ok(Some(match held {
            Some(choice) if orders.is_empty() => of_choice(orders, choice),
            _ => NodeVerdict {
                orders,
                ..self.verdict.clone()
            },
        }))
    }
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
fn choose_again(
    round: &Round,
    again: &mut Again<'_, ExpanderQuestion>,
) -> Result<Choice, Unavailable> {
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
