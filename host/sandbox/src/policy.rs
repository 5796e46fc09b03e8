//! One version of a policy: from bytes to something that decides.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use flyball_core::nodes::expander::{ExpanderInput, ExpanderRanking};
use flyball_core::policy::{
    Budget, Description, ExpanderPolicy, Policy, PolicyFailure, PolicyOutcome, PolicyVersion,
    ReplicaPolicy, Usage, kind,
};
use flyball_core::replica::{Context, ReplicaDecision, ReplicaInput};
use serde_json::{Map, Value};
use wasmtime::Store;

use crate::answer;
use crate::compile::code::Artifact;
use crate::compile::{Source, Wanted};
use crate::confine::{self, Guest, Run};
use crate::contract::{Contract, Linked, Refusal};
use crate::digest::digest;
use crate::engine::Engine;
use crate::error::{ConfigurationError, LoadError};
use crate::panics::caught;
use crate::parse::Surface;
use crate::schema::Schema;
use crate::text::readable;

/// Largest policy accepted where [`crate::RegistryOptions`] say nothing else, in
/// bytes: room for one in an interpreted language.
pub const DEFAULT_POLICY_BYTES: u64 = 32 << 20;

/// Configurations that are remembered as fitting.
const FITTING: usize = 1024;
const REFUSAL_CODE_BYTES: usize = 64;
const REFUSAL_MESSAGE_BYTES: usize = 1024;

/// A policy that was compiled, linked and described itself. Every decision runs
/// in a store of its own.
pub struct CompiledPolicy {
    engine: Engine,
    linked: Linked,
    version: Arc<PolicyVersion>,
    description: Description,
    schema: Schema,
    /// Configurations that fitted the schema: checked once, not with every decision.
    fitting: Mutex<HashSet<Arc<str>>>,
    budget: Budget,
}

impl CompiledPolicy {
    /// Takes a component through all checks but those that need its
    /// configurations in use: parse, contract, imports, compile (unless the
    /// engine's cache has the code), link, describe.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn load(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        budget: Budget,
    ) -> Result<Self, LoadError> {
        check_name(name)?;
        let digest = digest(bytes);
        let wanted = Wanted {
            digest: digest.clone(),
            source: Source::Bytes(bytes.into()),
            max_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        };
        let artifact = engine.load_and_wait(wanted)?;
        Self::link(engine, name, digest, &artifact, budget)
    }

    /// The same for a component that was compiled with this binary.
    pub(crate) fn load_built_in(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        budget: Budget,
    ) -> Result<Self, LoadError> {
        check_name(name)?;
        let digest = digest(bytes);
        let artifact = engine.load_built_in(&digest, bytes)?;
        Self::link(engine, name, digest, &artifact, budget)
    }

    /// Takes compiled code through what remains: link, describe.
    pub(crate) fn link(
        engine: &Engine,
        name: &str,
        digest: String,
        artifact: &Artifact,
        budget: Budget,
    ) -> Result<Self, LoadError> {
        caught(|| Self::linked(engine, name, digest, artifact, budget))
            .unwrap_or_else(|panic| Err(LoadError::Compile(panic)))
    }

    fn linked(
        engine: &Engine,
        name: &str,
        digest: String,
        artifact: &Artifact,
        budget: Budget,
    ) -> Result<Self, LoadError> {
        let Artifact { surface, component } = artifact;
        let contract = Contract::of(surface)?;
        let linked = contract
            .link(component, surface)
            .map_err(|error| LoadError::Link {
                contract: contract.version().to_owned(),
                message: format!("{error:#}"),
            })?;
        let description = describe(engine, &linked, &budget, contract, surface)?;
        let schema = Schema::parse(&description.configuration_schema)?;
        let version = PolicyVersion {
            name: name.into(),
            digest: digest.into(),
            contract: contract.version().into(),
            version: description.version.as_str().into(),
            state_version: description.state_version,
        };
        let engine = engine.clone();
        Ok(Self {
            engine,
            linked,
            version: Arc::new(version),
            description,
            schema,
            fitting: Mutex::default(),
            budget,
        })
    }

    /// Checks a configuration against the policy's schema.
    ///
    /// # Errors
    /// The field at fault.
    pub fn check_configuration(
        &self,
        configuration: &Map<String, Value>,
    ) -> Result<(), ConfigurationError> {
        let text = || Value::Object(configuration.clone()).to_string();
        checked(text, || self.schema.check(configuration))
    }

    /// The same for a configuration as text; the empty text stands for none.
    ///
    /// # Errors
    /// The field at fault, or that the text is no JSON object.
    pub fn check_configuration_text(&self, text: &str) -> Result<(), ConfigurationError> {
        checked(|| text.to_owned(), || self.schema.check_text(text))
    }

    /// Refuses a decision whose configuration does not fit the policy's schema.
    pub(crate) fn check_decision<'a>(
        &self,
        context: &'a Context,
    ) -> Result<Checked<'a>, PolicyFailure> {
        let fitting = || self.fitting.lock().unwrap_or_else(PoisonError::into_inner);
        let configuration = &context.configuration;
        if fitting().contains(configuration) {
            return Ok(Checked(context));
        }
        self.check_configuration_text(configuration)
            .map_err(|error| {
                refused(Refusal {
                    code: "InvalidConfiguration".into(),
                    message: error.to_string(),
                })
            })?;
        let mut fitting = fitting();
        if fitting.len() >= FITTING {
            fitting.clear();
        }
        fitting.insert(Arc::clone(configuration));
        Ok(Checked(context))
    }

    /// Decides about a context that was checked.
    pub(crate) fn decide_checked(
        &self,
        Checked(context): Checked<'_>,
        input: &ReplicaInput,
    ) -> PolicyOutcome<ReplicaDecision> {
        let asked = Question {
            kind: kind::REPLICA,
            context,
            rows: rows(input),
        };
        self.ask(
            &asked,
            |store| self.linked.decide(store, context, input),
            |decision| answer::accept(decision, input),
        )
    }

    /// Ranks with a context that was checked.
    pub(crate) fn rank_checked(
        &self,
        Checked(context): Checked<'_>,
        input: &ExpanderInput,
    ) -> PolicyOutcome<ExpanderRanking> {
        let options = input.options.len();
        let asked = Question {
            kind: kind::EXPANDER,
            context,
            rows: options,
        };
        self.ask(
            &asked,
            |store| self.linked.rank(store, context, input),
            |ranking| answer::accept_ranking(ranking, options),
        )
    }

    /// Asks in a fresh store, and accepts only what keeps to the contract.
    fn ask<A>(
        &self,
        asked: &Question<'_>,
        call: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<Result<A, Refusal>>,
        accept: impl FnOnce(A) -> Result<A, String>,
    ) -> PolicyOutcome<A> {
        let has_kind = self
            .description
            .must_have_kind(&self.version.name, asked.kind);
        if let Err(failure) = has_kind {
            return not_asked(failure);
        }
        // What a guest answers comes from outside; its store is gone after a panic.
        let outcome = caught(|| {
            let Run {
                usage,
                outcome,
                log,
            } = confine::run(&self.engine, &self.budget, asked.rows(), call);
            let answer = outcome
                .and_then(|answer| answer.map_err(refused))
                .and_then(|answer| accept(answer).map_err(PolicyFailure::InvalidAnswer));
            PolicyOutcome { usage, answer, log }
        });
        outcome.unwrap_or_else(|panic| not_asked(PolicyFailure::Trapped(panic)))
    }
}

impl std::fmt::Debug for CompiledPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledPolicy")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Policy for CompiledPolicy {
    fn version(&self) -> &Arc<PolicyVersion> {
        &self.version
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn budget(&self) -> Budget {
        self.budget
    }
}

impl ReplicaPolicy for CompiledPolicy {
    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        match self.check_decision(context) {
            Ok(checked) => self.decide_checked(checked, input),
            Err(failure) => not_asked(failure),
        }
    }
}

impl ExpanderPolicy for CompiledPolicy {
    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        match self.check_decision(context) {
            Ok(checked) => self.rank_checked(checked, input),
            Err(failure) => not_asked(failure),
        }
    }
}

/// The context of a decision whose configuration fits the policy's schema.
pub(crate) struct Checked<'a>(&'a Context);

/// Runs a check of a configuration; a panic refuses the configuration, which comes from
/// outside, as the schema does.
fn checked(
    configuration: impl FnOnce() -> String,
    check: impl FnOnce() -> Result<(), ConfigurationError>,
) -> Result<(), ConfigurationError> {
    caught(check).unwrap_or_else(|panic| {
        let mut configuration = configuration();
        readable(&mut configuration, REFUSAL_MESSAGE_BYTES / 4);
        Err(ConfigurationError::NotCheckable {
            configuration,
            panic,
        })
    })
}

/// What a policy is asked, whatever its kind.
struct Question<'a> {
    kind: &'static str,
    context: &'a Context,
    /// Rows of the kind's own input.
    rows: usize,
}

impl Question<'_> {
    /// Rows by which fuel is measured: the kind's own, and steps and keys of
    /// further inputs.
    fn rows(&self) -> u64 {
        let granted = self.context.inputs.iter();
        let granted: usize = granted
            .map(|input| input.values.len() + input.keys.len())
            .sum();
        u64::try_from(self.rows + granted).unwrap_or(u64::MAX)
    }
}

/// The outcome where the policy was not asked at all.
pub(crate) fn not_asked<A>(failure: PolicyFailure) -> PolicyOutcome<A> {
    PolicyOutcome {
        usage: Usage::default(),
        answer: Err(failure),
        log: Vec::new(),
    }
}

/// Pods, samples of metrics, and the target's past.
fn rows(input: &ReplicaInput) -> usize {
    let samples: usize = input.metrics.iter().map(|metric| metric.value.len()).sum();
    let past = input.recommendations.at_ms.len() + input.scale_events.at_ms.len();
    input.pods.len() + samples + past
}

/// Whether a text may name a policy.
pub(crate) fn check_name(name: &str) -> Result<(), LoadError> {
    let inner = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    let first = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && name.len() <= 63 && name.bytes().all(inner) {
        Ok(())
    } else {
        Err(LoadError::BadName(name.to_owned()))
    }
}

fn describe(
    engine: &Engine,
    linked: &Linked,
    budget: &Budget,
    contract: Contract,
    surface: &Surface,
) -> Result<Description, LoadError> {
    let run = confine::run(engine, budget, 0, |store| linked.describe(store));
    let description = run.outcome.map_err(|failure| LoadError::Describe {
        failure,
        // A panic's message comes last.
        said: run
            .log
            .last()
            .map_or_else(String::new, |(_, line)| line.clone()),
    })?;
    answer::check_description(&description, |kind| contract.exports(surface, kind))?;
    Ok(description)
}

fn refused(mut refusal: Refusal) -> PolicyFailure {
    readable(&mut refusal.code, REFUSAL_CODE_BYTES);
    readable(&mut refusal.message, REFUSAL_MESSAGE_BYTES);
    PolicyFailure::Refused(format!("{}: {}", refusal.code, refusal.message))
}

#[cfg(test)]
mod tests {
    use super::checked;
    use crate::error::ConfigurationError;

    #[test]
    fn a_panic_while_a_configuration_is_checked_refuses_the_configuration() {
        let text = || r#"{"ceiling": 5}"#.to_owned();
        assert_eq!(checked(text, || Ok(())), Ok(()));
        let none = || ConfigurationError::TakesNone("ceiling".into());
        assert_eq!(checked(text, || Err(none())), Err(none()));
        let error = checked(text, || panic!("of the validator"));
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err(
                "{\"ceiling\": 5} cannot be checked: flyball panicked on it: of the validator"
                    .to_owned()
            )
        );
    }
}
