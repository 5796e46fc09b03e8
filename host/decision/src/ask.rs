//! Asks the policies of a decision, one after the other, and settles who answers:
//!
//! ```text
//! active version ──fails──▶ versions before it ──fail──▶ built-in policy, if the operator
//!       │                          │                     chose so ──────▶ held
//!       ▼                          ▼                            ▼
//!     Part              Part { failed, previous }        Part { failed }
//! ```
//!
//! An answer is untrusted input. Its question validates it, and its state must fit beside
//! the states of the object's other policies.

mod budget;

use std::marker::PhantomData;
use std::sync::Arc;

pub use self::budget::StateBudget;
pub use self::budget::UnaskedState;
use crate::context::{Context, GrantedInput};
use crate::event::Event;
use crate::memory::{PolicyMemories, Recalled};
use crate::part::Part;
use crate::policy::{
    Policy, PolicyEngine, PolicyFailure, PolicyVersion, RolledBack, Usage, WantedInput,
};
use crate::question::Question;
use crate::time::Timestamp;

/// What all policies of a decision have in common when they are asked.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Time of the decision.
    pub now: Timestamp,
    /// Seed for random choices.
    pub seed: u64,
    /// Finds the policies.
    pub engine: &'a dyn PolicyEngine,
    /// Whether the built-in policy is asked if one gives no usable answer.
    pub fallback: bool,
    /// Memory of the policies' earlier answers.
    pub memories: &'a PolicyMemories,
    /// Grants the inputs that a policy wants beyond the standard ones.
    pub grant: &'a dyn Fn(&WantedInput) -> GrantedInput,
}

/// A policy as an object or the operator names it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Its name.
    pub name: &'a Arc<str>,
    /// Its configuration, a JSON object as text.
    pub configuration: &'a Arc<str>,
}

/// The policies of one decision.
pub struct Panel<'a, Q: Question> {
    asker: Asker<'a>,
    found: Vec<Found<'a>>,
    budget: StateBudget,
    question: PhantomData<Q>,
    /// Events about policies that failed, were swapped or rolled back.
    pub events: Vec<Event>,
}

/// A policy that was looked up. Its version is held until it has answered, so that
/// description, state and answer are of one version even if another one becomes active
/// meanwhile.
struct Found<'a> {
    named: Named<'a>,
    version: Result<Arc<dyn Policy>, PolicyFailure>,
    /// Has only the state if there is no version.
    recalled: Recalled,
    /// Fuel of all that were asked for it: its version, those before it, the fallback.
    fuel: u64,
}

impl<'a, Q: Question> Panel<'a, Q> {
    /// Looks up the policies.
    pub fn new(asker: Asker<'a>, policies: impl Iterator<Item = Named<'a>>) -> Self {
        let found: Vec<_> = policies
            .map(|named| Found::of::<Q>(&asker, named))
            .collect();
        let states = found.iter();
        let states = states.map(|found| (&**found.named.name, &*found.recalled.state));
        Self {
            asker,
            budget: StateBudget::new(states),
            found,
            question: PhantomData,
            events: Vec::new(),
        }
    }

    /// Returns the number of policies.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// Returns whether the policy at this place answers the question. A policy that was
    /// not found counts, since asking it reports why.
    pub fn answers(&self, place: usize) -> bool {
        let version = self.found.get(place).map(|found| &found.version);
        version.is_some_and(|version| match version {
            Ok(version) => version.answers(Q::INTERFACE),
            Err(_) => true,
        })
    }

    /// Asks the policy at this place. `own` makes what it alone is asked from what is
    /// remembered of it, which is nothing for a fallback. Returns `None` if there is no
    /// such place.
    pub fn ask(
        &mut self,
        place: usize,
        input: &mut Q::Input,
        own: impl Fn(&mut Recalled) -> Q::Own,
    ) -> Option<Part<Q>> {
        let Found {
            named,
            version,
            recalled,
            fuel,
        } = self.found.get_mut(place)?;
        let case = Case {
            asker: &self.asker,
            named: *named,
            place,
            budget: &self.budget,
            input,
            own,
            events: &mut self.events,
            fuel,
        };
        let part = case.decide(version, recalled);
        self.budget.took(place, &part);
        Some(part)
    }

    /// Returns the fuel that was used for the policy at this place, also by those that were
    /// asked in its place.
    pub fn fuel(&self, place: usize) -> u64 {
        self.found.get(place).map_or(0, |found| found.fuel)
    }

    /// Returns the states of the policies from this place on, which were not asked.
    pub fn unasked(&self, from: usize) -> Vec<UnaskedState> {
        let unasked = self.found.iter().skip(from);
        let unasked = unasked.filter(|found| !found.recalled.state.is_empty());
        let state = |found: &Found<'_>| UnaskedState {
            name: Arc::clone(found.named.name),
            bytes: found.recalled.state.len(),
        };
        unasked.map(state).collect()
    }
}

impl<'a> Found<'a> {
    fn of<Q: Question>(asker: &Asker<'_>, named: Named<'a>) -> Self {
        let version = asker.engine.policy(Q::KIND, named.name);
        let recalled = match &version {
            Ok(version) => asker.memories.recall(version.version()),
            Err(_) => Recalled {
                state: asker.memories.state(named.name),
                ..Recalled::default()
            },
        };
        Self {
            named,
            version,
            recalled,
            fuel: 0,
        }
    }
}

/// One policy that is being asked.
struct Case<'c, 'a, Q: Question, O> {
    asker: &'c Asker<'a>,
    named: Named<'a>,
    place: usize,
    budget: &'c StateBudget,
    input: &'c mut Q::Input,
    own: O,
    events: &'c mut Vec<Event>,
    fuel: &'c mut u64,
}

impl<Q: Question, O: Fn(&mut Recalled) -> Q::Own> Case<'_, '_, Q, O> {
    fn decide(
        mut self,
        version: &Result<Arc<dyn Policy>, PolicyFailure>,
        recalled: &mut Recalled,
    ) -> Part<Q> {
        let part = match version {
            Ok(version) => {
                self.note_rollback(&**version, recalled);
                let part = self.consult(&**version, recalled);
                if part.answer.is_ok() {
                    self.note_swap(version.version(), recalled);
                    return part;
                }
                self.ask_predecessors(part, &version.predecessors())
            }
            Err(failure) => self.unanswered(recalled, failure.clone()),
        };
        match &part.answer {
            Ok(_) => part,
            Err(failure) => {
                let failure = failure.clone();
                self.ask_fallback(part, &failure)
            }
        }
    }

    /// Asks one version of the policy. Its state must fit beside the others'.
    fn consult(&mut self, policy: &dyn Policy, recalled: &mut Recalled) -> Part<Q> {
        let configuration = Arc::clone(self.named.configuration);
        let part = self.consult_with(policy, configuration, recalled);
        let (budget, place) = (self.budget, self.place);
        Part {
            answer: part
                .answer
                .and_then(|answer| budget.admitted::<Q>(place, &part.context, answer)),
            ..part
        }
    }

    fn consult_with(
        &mut self,
        policy: &dyn Policy,
        configuration: Arc<str>,
        recalled: &mut Recalled,
    ) -> Part<Q> {
        let wants = policy.description().wants.iter();
        let context = Context {
            now: self.asker.now,
            seed: self.asker.seed,
            configuration,
            state: Arc::clone(&recalled.state),
            inputs: wants.map(self.asker.grant).collect(),
        };
        let mut own = (self.own)(recalled);
        let outcome = Q::ask(policy, &context, self.input, &mut own);
        *self.fuel = self.fuel.saturating_add(outcome.usage.fuel);
        Part {
            name: Arc::clone(self.named.name),
            version: Some(Arc::clone(policy.version())),
            failed: None,
            previous: false,
            context,
            own,
            budget: Some(policy.budget()),
            usage: outcome.usage,
            answer: outcome.answer,
            log: outcome.log,
        }
    }

    /// Returns the part of a policy that has no version.
    fn unanswered(&self, recalled: &mut Recalled, failure: PolicyFailure) -> Part<Q> {
        Part {
            name: Arc::clone(self.named.name),
            version: None,
            failed: None,
            previous: false,
            context: Context {
                now: self.asker.now,
                seed: self.asker.seed,
                configuration: Arc::clone(self.named.configuration),
                state: Arc::clone(&recalled.state),
                inputs: Vec::new(),
            },
            own: (self.own)(recalled),
            budget: None,
            usage: Usage::default(),
            answer: Err(failure),
            log: Vec::new(),
        }
    }

    /// Asks the versions before one that failed, until one answers. Their answers may
    /// keep a state.
    fn ask_predecessors(&mut self, failed: Part<Q>, predecessors: &[Arc<dyn Policy>]) -> Part<Q> {
        let Err(failure) = &failed.answer else {
            return failed;
        };
        if !failure.is_left_to_predecessor() {
            return failed;
        }
        let answering = predecessors.iter();
        for policy in answering.filter(|policy| policy.answers(Q::INTERFACE)) {
            let mut recalled = self.asker.memories.recall(policy.version());
            let part = self.consult(&**policy, &mut recalled);
            if part.answer.is_ok() {
                self.note_failure(failure, &goes_on(policy.version()));
                self.note_swap(policy.version(), &recalled);
                return Part {
                    failed: Some(Box::new(failed)),
                    previous: true,
                    ..part
                };
            }
        }
        failed
    }

    /// Asks the built-in policy in place of one that failed, if the operator enabled the
    /// fallback and it is another policy.
    fn ask_fallback(&mut self, failed: Part<Q>, failure: &PolicyFailure) -> Part<Q> {
        let fallback = self.asker.fallback;
        let engine = self.asker.engine;
        let fallback = fallback.then(|| engine.fallback(Q::INTERFACE, self.named.name));
        let fallback = fallback.flatten();
        let fallback =
            fallback.filter(|fallback| Some(&fallback.version().digest) != failed.digest());
        let Some(fallback) = fallback else {
            self.note_failure(failure, Q::HELD);
            return failed;
        };
        let version = fallback.version();
        self.note_failure(failure, &stands_in::<Q>(version));
        // The configuration follows the schema of the policy that failed.
        let configuration = if version.name == *self.named.name {
            Arc::clone(self.named.configuration)
        } else {
            "{}".into()
        };
        let answer = self.consult_with(&*fallback, configuration, &mut Recalled::default());
        Part {
            failed: Some(Box::new(failed)),
            ..answer
        }
    }

    /// Emits an event about a failure: about a quarantine only once.
    fn note_failure(&mut self, failure: &PolicyFailure, then: &str) {
        let memories = self.asker.memories;
        if memories.is_known_quarantine(self.named.name, failure) {
            return;
        }
        let name = format!("{} {}: ", Q::NOUN, self.named.name);
        self.events.push(Event {
            warning: true,
            reason: failure.code().to_owned(),
            message: Event::message(&name, failure.message(), &format!("; {then}")),
        });
    }

    /// Emits an event, once, that the version asked last was rolled back.
    fn note_rollback(&mut self, policy: &dyn Policy, recalled: &Recalled) {
        let Some(RolledBack { from, reason }) = policy.rolled_back() else {
            return;
        };
        if recalled.asked_last != from.digest {
            return;
        }
        let version = policy.version();
        let name = format!(
            "{} {}: version {} ({}) was rolled back: ",
            Q::NOUN,
            self.named.name,
            from.version,
            from.short_digest()
        );
        let now = format!(
            "; version {} ({}) decides again",
            version.version,
            version.short_digest()
        );
        self.events.push(Event {
            warning: true,
            reason: "PolicyRolledBack".to_owned(),
            message: Event::message(&name, reason, &now),
        });
    }

    /// Emits an event if another version than the last has answered.
    fn note_swap(&mut self, version: &PolicyVersion, recalled: &Recalled) {
        let (noun, name) = (Q::NOUN, self.named.name);
        if recalled.swapped_from.is_some() {
            let message = format!(
                "{noun} {name} is now version {} ({})",
                version.version,
                version.short_digest()
            );
            self.events.push(Event {
                warning: false,
                reason: "PolicyChanged".to_owned(),
                message,
            });
        }
        if let Some(from) = recalled.reset_from {
            let message = format!(
                "{noun} {name}: its state of version {from} is dropped, version {} starts anew",
                version.state_version
            );
            self.events.push(Event {
                warning: false,
                reason: "PolicyStateReset".to_owned(),
                message,
            });
        }
    }
}

/// Part of a message: the version before goes on deciding because a newer one fails.
pub fn goes_on(version: &PolicyVersion) -> String {
    format!(
        "the version before, {} ({}), goes on deciding",
        version.version,
        version.short_digest()
    )
}

/// Part of a message: the built-in policy decides in place of one that failed.
pub fn stands_in<Q: Question>(version: &PolicyVersion) -> String {
    format!(
        "built-in {} {} ({}) decides instead",
        Q::NOUN,
        version.name,
        version.short_digest()
    )
}
