//! Asks the policies of an object, and settles their answers.

use std::mem::take;

use super::{Decision, DecisionContext, guard_input, input, settle};
use crate::observe::PreparedPolicy;
use flyball_decision::ask::{Asker, Panel};
use flyball_decision::context::GrantedInput;
use flyball_decision::memory::Recalled;
use flyball_decision::policy::WantedInput;
use flyball_decision::question::ReplicaQuestion;

/// Shortest time until a policy is asked again, in milliseconds.
const SOONEST_MS: u64 = 1000;

pub(super) fn ask(context: &DecisionContext<'_>, decision: &mut Decision) {
    let Ok(scale) = context.scale else { return };
    let mut input = input(context, scale);
    let asker = Asker {
        now: context.now,
        seed: seed(&context.autoscaler.uid, context.now.0),
        engine: context.engine,
        fallback: context.options.fallback,
        memories: &context.memory.policies,
        grant: &|wanted| grant(context, wanted),
    };
    let policies = context.prepared.policies.iter();
    let mut panel = Panel::<ReplicaQuestion>::new(asker, policies.map(PreparedPolicy::named));
    for place in 0..panel.count() {
        let own = |recalled: &mut Recalled| take(&mut recalled.recommendations);
        decision
            .record
            .policies
            .extend(panel.ask(place, &mut input, own));
        decision.fuel.push(panel.fuel(place));
    }
    decision.notes.append(&mut panel.events);
    let record = &mut decision.record;
    let answers = record.policies.iter().flat_map(|part| &part.answer);
    let wishes = answers.filter_map(|answer| answer.again_after_ms);
    decision.again_after_ms = wishes.map(|wish| wish.max(SOONEST_MS)).min();
    let settled = settle(
        &input,
        &record.policies,
        record.combine,
        &record.names,
        |proposed| guard_input(context, scale, proposed),
    );
    record.input = Some(input);
    record.guard = Some(settled.guard);
    record.guard_steps = settled.steps;
    record.verdict = settled.verdict;
}

fn grant(context: &DecisionContext<'_>, wanted: &WantedInput) -> GrantedInput {
    let observed = |input: Option<&GrantedInput>| {
        let late = "wanted since after the observation: had from the next on";
        input
            .cloned()
            .unwrap_or_else(|| GrantedInput::refused(late.to_owned()))
    };
    match &*wanted.kind {
        crate::history::KIND => {
            context
                .memory
                .histories
                .grant(context.now, wanted, &context.columns.metrics)
        }
        "target-labels" => observed(context.labels),
        "target-annotations" => observed(context.annotations),
        kind => GrantedInput::refused(format!("this host knows no input of kind {kind:?}")),
    }
}

/// Derives the seed: the same object at the same time has the same seed.
fn seed(uid: &str, now_ms: i64) -> u64 {
    let bytes = uid.bytes().chain(now_ms.to_le_bytes());
    flyball_decision::hash::fnv1a(bytes)
}
