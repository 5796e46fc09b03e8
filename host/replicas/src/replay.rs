//! Replay of decisions about replicas: the policies are asked again, and their answers go
//! through the guardrails.

use flyball_decision::ask::StateBudget;
use flyball_decision::replay::{Again, Asking, Decided, Unavailable};

use crate::guard::GuardInput;
use crate::pipeline::{out_of_bounds, settle};
use crate::record::{DecisionRecord, Verdict};

impl Decided for DecisionRecord {
    type Verdict = Verdict;

    fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }

    fn decide_again(&self, again: &mut Again<'_>) -> Result<Option<Verdict>, Unavailable> {
        let Some(guard) = &self.guard else {
            return Ok(None);
        };
        let Some(input) = &self.input else {
            return Ok(Some(bounded(self, guard)));
        };
        let mut input = input.clone();
        let mut budget = StateBudget::before(&self.policies, &[]);
        let mut policies = Vec::with_capacity(self.policies.len());
        for (place, policy) in self.policies.iter().enumerate() {
            let asking = Asking {
                input: &mut input,
                own: &policy.own,
                budget: Some((&budget, place)),
            };
            let part = again.part(policy, asking)?;
            budget.took(place, &part);
            policies.push(part);
        }
        let guard_input = |proposed| GuardInput {
            proposed,
            ..guard.clone()
        };
        let settled = settle(&input, &policies, self.combine, &self.names, guard_input);
        Ok(Some(settled.verdict))
    }
}

/// Returns the verdict of the bounds alone: to hold, if the replicas are within them.
fn bounded(record: &DecisionRecord, guard: &GuardInput) -> Verdict {
    let verdict = out_of_bounds(guard.current, guard.min, guard.max);
    verdict.unwrap_or_else(|| Verdict {
        to: None,
        ..record.verdict.clone()
    })
}
