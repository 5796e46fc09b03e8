//! Asks the policies, and settles what becomes of their answers.

use std::sync::Arc;

use super::budget::StateBudget;
use super::report::goes_on;
use super::{Decision, Scene, guard_input, input, settle};
use crate::memory::Recalled;
use crate::observe::PreparedPolicy;
use crate::policy::{PolicyFailure, PolicyOutcome, ReplicaPolicy, RolledBack, Usage, WantedInput};
use crate::record::{Answer, PolicyRecord};
use crate::replica::{Context, GrantedInput, ReplicaDecision, ReplicaInput};
use crate::status::Event;

/// Soonest that a policy may be asked again, in milliseconds.
const SOONEST_MS: u64 = 1000;

pub(super) fn ask(scene: &Scene<'_>, decision: &mut Decision) {
    let Ok(scale) = scene.scale else { return };
    let mut input = input(scene, scale);
    let policies = scene.prepared.policies.iter();
    let found: Vec<_> = policies.map(|policy| Found::of(scene, policy)).collect();
    let states = found.iter();
    let states = states.map(|found| (&*found.policy.name, &**found.state()));
    let mut budget = StateBudget::new(states);
    for (place, found) in found.into_iter().enumerate() {
        let admit = |context: &Context, answer| budget.admitted(place, context, answer);
        let record = ask_policy(scene, found, &mut input, admit, &mut decision.notes);
        budget.took(place, &record);
        if let Answer::Decision(ReplicaDecision {
            again_after_ms: Some(wish),
            ..
        }) = record.answer
        {
            let wish = wish.max(SOONEST_MS);
            let soonest = decision
                .again_after_ms
                .map_or(wish, |known| known.min(wish));
            decision.again_after_ms = Some(soonest);
        }
        decision.record.policies.push(record);
    }
    let record = &mut decision.record;
    let settled = settle(
        &input,
        &record.policies,
        record.combine,
        &record.names,
        |proposed| guard_input(scene, scale, proposed),
    );
    record.input = Some(input);
    record.guard = Some(settled.guard);
    record.guard_steps = settled.steps;
    record.verdict = settled.verdict;
}

/// A policy of the object, as it is found. The version is held until its answer is
/// there, so that description, state and answer are of one version, whatever the
/// name moves on to meanwhile.
struct Found<'a> {
    policy: &'a PreparedPolicy,
    version: Result<(Arc<dyn ReplicaPolicy>, Recalled), PolicyFailure>,
    /// Its state if there is no version to be asked.
    state: Arc<str>,
}

impl<'a> Found<'a> {
    fn of(scene: &Scene<'_>, policy: &'a PreparedPolicy) -> Self {
        let version = scene.engine.replica_policy(&policy.name);
        Self {
            policy,
            version: version.map(|version| {
                let recalled = scene.memory.recall(version.version());
                (version, recalled)
            }),
            state: scene.memory.state(&policy.name),
        }
    }

    fn state(&self) -> &Arc<str> {
        match &self.version {
            Ok((_, recalled)) => &recalled.state,
            Err(_) => &self.state,
        }
    }
}

fn ask_policy(
    scene: &Scene<'_>,
    found: Found<'_>,
    input: &mut ReplicaInput,
    admit: impl Fn(&Context, ReplicaDecision) -> Result<ReplicaDecision, PolicyFailure>,
    notes: &mut Vec<Event>,
) -> PolicyRecord {
    let Found {
        policy,
        version,
        state,
    } = found;
    let record = match version {
        Ok((version, recalled)) => {
            tell_rollback(policy, &*version, &recalled, notes);
            let record = consult(scene, policy, &*version, &recalled, input, &admit);
            if let Answer::Decision(_) = record.answer {
                tell_swap(policy, &*version, &recalled, notes);
                return record;
            }
            let before = version.predecessors();
            match ask_predecessors(scene, policy, &before, &record, input, admit, notes) {
                Some(answer) => PolicyRecord {
                    failed: Some(Box::new(record)),
                    previous: true,
                    ..answer
                },
                None => record,
            }
        }
        Err(failure) => unanswered(scene, policy, state, failure),
    };
    let Answer::Failure(failure) = &record.answer else {
        return record;
    };
    let fallback = scene
        .options
        .fallback
        .then(|| scene.engine.replica_fallback(&policy.name))
        .flatten();
    let failed = record.version.as_ref().map(|version| &version.digest);
    let fallback = fallback.filter(|fallback| Some(&fallback.version().digest) != failed);
    let Some(fallback) = fallback else {
        notes.push(told(policy, failure, "the target is held"));
        return record;
    };
    let version = fallback.version();
    let instead = format!(
        "built-in policy {} ({}) decides instead",
        version.name,
        version.short_digest()
    );
    notes.push(told(policy, failure, &instead));
    let stand_in = PreparedPolicy {
        name: Arc::clone(&policy.name),
        // A configuration is made for the schema of the policy that failed.
        configuration: if version.name == policy.name {
            Arc::clone(&policy.configuration)
        } else {
            "{}".into()
        },
    };
    let nothing = Recalled::default();
    let admit = |_: &Context, answer| Ok(answer);
    let answer = consult(scene, &stand_in, &*fallback, &nothing, input, admit);
    PolicyRecord {
        failed: Some(Box::new(record)),
        ..answer
    }
}

/// Asks the versions before one that failed, until one answers. What they answer is as
/// good as what the object had before: it may keep a state.
fn ask_predecessors(
    scene: &Scene<'_>,
    policy: &PreparedPolicy,
    predecessors: &[Arc<dyn ReplicaPolicy>],
    failed: &PolicyRecord,
    input: &mut ReplicaInput,
    admit: impl Fn(&Context, ReplicaDecision) -> Result<ReplicaDecision, PolicyFailure>,
    notes: &mut Vec<Event>,
) -> Option<PolicyRecord> {
    let failure = failed.failure()?;
    if !failure.is_left_to_predecessor() {
        return None;
    }
    for version in predecessors {
        let recalled = scene.memory.recall(version.version());
        let record = consult(scene, policy, &**version, &recalled, input, &admit);
        if let Answer::Decision(_) = record.answer {
            notes.push(told(policy, failure, &goes_on(version.version())));
            tell_swap(policy, &**version, &recalled, notes);
            return Some(record);
        }
    }
    None
}

fn told(policy: &PreparedPolicy, failure: &PolicyFailure, then: &str) -> Event {
    let name = format!("policy {}: ", policy.name);
    Event {
        warning: true,
        reason: failure.code().to_owned(),
        message: Event::message(&name, failure.message(), &format!("; {then}")),
    }
}

/// Tells, once, that the version asked last was rolled back.
fn tell_rollback(
    policy: &PreparedPolicy,
    asked: &dyn ReplicaPolicy,
    recalled: &Recalled,
    notes: &mut Vec<Event>,
) {
    let Some(RolledBack { from, reason }) = asked.rolled_back() else {
        return;
    };
    if recalled.asked_last != from.digest {
        return;
    }
    let version = asked.version();
    let name = format!(
        "policy {}: version {} ({}) was rolled back: ",
        policy.name,
        from.version,
        from.short_digest()
    );
    let now = format!(
        "; version {} ({}) decides again",
        version.version,
        version.short_digest()
    );
    notes.push(Event {
        warning: true,
        reason: "PolicyRolledBack".to_owned(),
        message: Event::message(&name, reason, &now),
    });
}

/// Tells of another version that has answered.
fn tell_swap(
    policy: &PreparedPolicy,
    asked: &dyn ReplicaPolicy,
    recalled: &Recalled,
    notes: &mut Vec<Event>,
) {
    let version = asked.version();
    if recalled.swapped_from.is_some() {
        let message = format!(
            "policy {} is now version {} ({})",
            policy.name,
            version.version,
            version.short_digest()
        );
        notes.push(Event {
            warning: false,
            reason: "PolicyChanged".to_owned(),
            message,
        });
    }
    if let Some(from) = recalled.reset_from {
        let message = format!(
            "policy {}: its state of version {from} is dropped, version {} starts anew",
            policy.name, version.state_version
        );
        notes.push(Event {
            warning: false,
            reason: "PolicyStateReset".to_owned(),
            message,
        });
    }
}

/// Asks one version of a policy.
fn consult(
    scene: &Scene<'_>,
    policy: &PreparedPolicy,
    asked: &dyn ReplicaPolicy,
    recalled: &Recalled,
    input: &mut ReplicaInput,
    admit: impl Fn(&Context, ReplicaDecision) -> Result<ReplicaDecision, PolicyFailure>,
) -> PolicyRecord {
    let wants = &asked.description().wants;
    let context = Context {
        now: scene.now,
        seed: seed(&scene.autoscaler.uid, scene.now.0),
        configuration: Arc::clone(&policy.configuration),
        state: Arc::clone(&recalled.state),
        inputs: wants.iter().map(|wanted| grant(scene, wanted)).collect(),
    };
    input.recommendations.clone_from(&recalled.recommendations);
    let PolicyOutcome { usage, answer, log } = asked.decide(&context, input);
    let answer = answer
        .and_then(validated)
        .and_then(|answer| admit(&context, answer));
    PolicyRecord {
        name: Arc::clone(&policy.name),
        version: Some(Arc::clone(asked.version())),
        failed: None,
        previous: false,
        context,
        recommendations: std::mem::take(&mut input.recommendations),
        budget: Some(asked.budget()),
        usage,
        answer: answer.map_or_else(Answer::Failure, Answer::Decision),
        log,
    }
}

fn unanswered(
    scene: &Scene<'_>,
    policy: &PreparedPolicy,
    state: Arc<str>,
    failure: PolicyFailure,
) -> PolicyRecord {
    let configuration = Arc::clone(&policy.configuration);
    PolicyRecord {
        name: Arc::clone(&policy.name),
        version: None,
        failed: None,
        previous: false,
        context: Context {
            now: scene.now,
            configuration,
            state,
            ..Context::default()
        },
        recommendations: crate::replica::Samples::default(),
        budget: None,
        usage: Usage::default(),
        answer: Answer::Failure(failure),
        log: Vec::new(),
    }
}

/// Whatever the engine makes of a contract: an absurd number of replicas is no
/// answer.
pub(crate) fn validated(answer: ReplicaDecision) -> Result<ReplicaDecision, PolicyFailure> {
    let absurd = |replicas: &i64| !(0..=i64::from(i32::MAX)).contains(replicas);
    match answer.replicas.filter(absurd) {
        Some(replicas) => Err(PolicyFailure::InvalidAnswer(format!(
            "{replicas} is no number of replicas: 0 to {} are",
            i32::MAX
        ))),
        None => Ok(answer),
    }
}

fn grant(scene: &Scene<'_>, wanted: &WantedInput) -> GrantedInput {
    let refused = |error: String| GrantedInput {
        error,
        ..GrantedInput::default()
    };
    let observed = |input: Option<&GrantedInput>| {
        let late =
            || refused("wanted since after the observation: had from the next on".to_owned());
        input.cloned().unwrap_or_else(late)
    };
    match &*wanted.kind {
        crate::history::KIND => {
            scene
                .memory
                .histories
                .grant(scene.now, wanted, &scene.columns.metrics)
        }
        "target-labels" => observed(scene.labels),
        "target-annotations" => observed(scene.annotations),
        kind => refused(format!("this host knows no input of kind {kind:?}")),
    }
}

/// Derives the seed: the same object at the same time has the same seed.
fn seed(uid: &str, now_ms: i64) -> u64 {
    let bytes = uid.bytes().chain(now_ms.to_le_bytes());
    crate::hash::fnv1a(bytes)
}
