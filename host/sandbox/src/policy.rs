//! One version of a policy: loads it, and asks it for decisions.

mod charge;
mod configuration;
mod tick_checks;

use std::sync::{Arc, Mutex};

use flyball_decision::context::{Context, GrantedInput};
use flyball_decision::expander::{ExpanderInput, ExpanderRanking};
use flyball_decision::policy::{
    Budget, Description, Policy, PolicyFailure, PolicyOutcome, PolicyVersion, Usage, interface,
};
use flyball_decision::replica::{ReplicaDecision, ReplicaInput};
use flyball_decision::scale_down::{
    MoveVerdicts, NodeVerdicts, PodVerdicts, ScaleDownMovesInput, ScaleDownNodesInput,
    ScaleDownPodsInput,
};
use flyball_tasks::bounded;
use wasmtime::Store;

use self::configuration::CheckedConfigurations;
pub(crate) use self::configuration::CheckedContext;
pub(crate) use self::tick_checks::{NAMESPACE_STEPS, NamespaceChecks, TickChecks};
use crate::answer::texts::Explained;
use crate::answer::{self, verdicts};
use crate::code::Artifact;
use crate::compile::{LoadRequest, Source};
use crate::confine::{self, InputSize, Run};
use crate::contract::{Contract, Linked, Refusal};
use crate::digest::digest;
use crate::engine::Engine;
use crate::error::LoadError;
use crate::guest::Guest;
use crate::panics::catch_panic;
use crate::parse::Surface;
use crate::schema::Schema;

/// Default of the largest policy accepted, in bytes: enough for one in an interpreted
/// language.
pub const DEFAULT_POLICY_BYTES: u64 = 32 << 20;

/// Bytes that a row of an input takes in a policy's memory, in the encoding of the contract
/// and once more in the policy's own form: an estimate.
const ROW_BYTES: usize = 64;

/// A policy that is compiled and linked and has described itself. Every decision runs in
/// a store of its own.
pub struct CompiledPolicy {
    engine: Engine,
    linked: Linked,
    version: Arc<PolicyVersion>,
    description: Description,
    /// The questions that it answers.
    interfaces: Vec<&'static str>,
    schema: Schema,
    checked_configurations: Mutex<CheckedConfigurations>,
    budget: Budget,
}

impl CompiledPolicy {
    /// Loads a component with all checks but those that need its configurations in use:
    /// parse, contract, imports, compile (unless the engine's cache has the code), link,
    /// describe.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn load(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        budget: Budget,
    ) -> Result<Self, LoadError> {
        check_name(name)?;
        let digest = digest(bytes);
        let request = LoadRequest {
            digest: digest.clone(),
            source: Source::Bytes(bytes.into()),
            max_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        };
        let artifact = engine.load_and_wait(request)?;
        Self::link(engine, name, digest, &artifact, budget)
    }

    /// Loads a component that was compiled with this binary.
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

    /// Links compiled code and asks it for its description: the remaining checks.
    pub(crate) fn link(
        engine: &Engine,
        name: &str,
        digest: String,
        artifact: &Artifact,
        budget: Budget,
    ) -> Result<Self, LoadError> {
        catch_panic(|| Self::linked(engine, name, digest, artifact, budget))
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
            interfaces: contract.interfaces(surface),
            schema,
            checked_configurations: Mutex::default(),
            budget,
        })
    }

    /// Asks for a decision; the context has been checked.
    pub(crate) fn decide_checked(
        &self,
        CheckedContext(context): CheckedContext<'_>,
        input: &ReplicaInput,
    ) -> PolicyOutcome<ReplicaDecision> {
        let asked = Question {
            interface: interface::REPLICA,
            context,
            rows: rows(input),
        };
        self.ask(
            &asked,
            |store| self.linked.decide(store, context, input),
            |decision| answer::accept(decision, input),
        )
    }

    /// Asks for a ranking; the context has been checked.
    pub(crate) fn rank_checked(
        &self,
        CheckedContext(context): CheckedContext<'_>,
        input: &ExpanderInput,
    ) -> PolicyOutcome<ExpanderRanking> {
        let options = input.options.len();
        let asked = Question {
            interface: interface::EXPANDER,
            context,
            rows: options,
        };
        self.ask(
            &asked,
            |store| self.linked.rank(store, context, input),
            |ranking| answer::accept_ranking(ranking, options),
        )
    }

    /// Asks for verdicts about pods; the context has been checked.
    pub(crate) fn judge_pods_checked(
        &self,
        CheckedContext(context): CheckedContext<'_>,
        input: &ScaleDownPodsInput,
    ) -> PolicyOutcome<PodVerdicts> {
        let asked = Question {
            interface: interface::SCALE_DOWN_PODS,
            context,
            rows: input.pods.len() + input.nodes.len() + input.groups.len(),
        };
        self.ask(
            &asked,
            |store| self.linked.judge_pods(store, context, input),
            verdicts::accept_pods,
        )
    }

    /// Asks for verdicts about nodes; the context has been checked.
    pub(crate) fn judge_nodes_checked(
        &self,
        CheckedContext(context): CheckedContext<'_>,
        input: &ScaleDownNodesInput,
    ) -> PolicyOutcome<NodeVerdicts> {
        let asked = Question {
            interface: interface::SCALE_DOWN_NODES,
            context,
            rows: input.nodes.len() + input.groups.len(),
        };
        self.ask(
            &asked,
            |store| self.linked.judge_nodes(store, context, input),
            verdicts::accept_nodes,
        )
    }

    /// Asks for verdicts about moves; the context has been checked.
    pub(crate) fn judge_moves_checked(
        &self,
        CheckedContext(context): CheckedContext<'_>,
        input: &ScaleDownMovesInput,
    ) -> PolicyOutcome<MoveVerdicts> {
        let moves = &input.moves;
        let parts = moves.leaving_node.len() + moves.coming_group.len();
        let asked = Question {
            interface: interface::SCALE_DOWN_MOVES,
            context,
            rows: moves.len() + parts + input.nodes.len() + input.groups.len(),
        };
        self.ask(
            &asked,
            |store| self.linked.judge_moves(store, context, input),
            verdicts::accept_moves,
        )
    }

    /// Asks in a fresh store, and returns only answers that conform to the contract.
    fn ask<A: Explained>(
        &self,
        asked: &Question<'_>,
        call: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<Result<A, Refusal>>,
        accept: impl FnOnce(A) -> Result<A, String>,
    ) -> PolicyOutcome<A> {
        if !self.answers(asked.interface) {
            return not_asked(PolicyFailure::Missing(format!(
                "policy `{}` does not answer {}: it answers {}",
                self.version.name,
                asked.interface,
                self.interfaces.join(" and ")
            )));
        }
        // A guest's answer is input from outside; its store is dropped after a panic.
        let outcome = catch_panic(|| {
            let Run {
                usage,
                outcome,
                log,
            } = bounded(|| {
                confine::run(&self.engine, &self.budget, asked.size(), |store| {
                    charge::answer(store, call, accept)
                })
            });
            PolicyOutcome {
                usage,
                answer: outcome.flatten(),
                log,
            }
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

    fn answers(&self, interface: &str) -> bool {
        self.interfaces.contains(&interface)
    }

    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        match self.check_decision(context, None) {
            Ok(checked) => self.decide_checked(checked, input),
            Err(failure) => not_asked(failure),
        }
    }

    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        match self.check_decision(context, None) {
            Ok(checked) => self.rank_checked(checked, input),
            Err(failure) => not_asked(failure),
        }
    }

    fn judge_pods(
        &self,
        context: &Context,
        input: &ScaleDownPodsInput,
    ) -> PolicyOutcome<PodVerdicts> {
        match self.check_decision(context, None) {
            Ok(checked) => self.judge_pods_checked(checked, input),
            Err(failure) => not_asked(failure),
        }
    }

    fn judge_nodes(
        &self,
        context: &Context,
        input: &ScaleDownNodesInput,
    ) -> PolicyOutcome<NodeVerdicts> {
        match self.check_decision(context, None) {
            Ok(checked) => self.judge_nodes_checked(checked, input),
            Err(failure) => not_asked(failure),
        }
    }

    fn judge_moves(
        &self,
        context: &Context,
        input: &ScaleDownMovesInput,
    ) -> PolicyOutcome<MoveVerdicts> {
        match self.check_decision(context, None) {
            Ok(checked) => self.judge_moves_checked(checked, input),
            Err(failure) => not_asked(failure),
        }
    }
}

/// A question to a policy of any kind.
struct Question<'a> {
    interface: &'static str,
    context: &'a Context,
    /// Number of rows of the question's own input.
    rows: usize,
}

impl Question<'_> {
    /// Returns the size of the question. Its rows are those of its own input, and values,
    /// keys, rows and numbers of granted inputs.
    fn size(&self) -> InputSize {
        let granted = self.context.inputs.iter();
        let granted: usize = granted
            .map(|input| {
                let by_row = input.rows.len() + input.numbers.len();
                input.values.len() + input.keys.len() + by_row
            })
            .sum();
        let rows = self.rows + granted;
        let texts = self.context.inputs.iter().map(GrantedInput::text_bytes);
        let bytes = rows.saturating_mul(ROW_BYTES).saturating_add(texts.sum());
        InputSize {
            rows: u64::try_from(rows).unwrap_or(u64::MAX),
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        }
    }
}

/// Returns the outcome of a decision for which the policy was not asked.
pub(crate) fn not_asked<A>(failure: PolicyFailure) -> PolicyOutcome<A> {
    PolicyOutcome {
        usage: Usage::default(),
        answer: Err(failure),
        log: Vec::new(),
    }
}

/// Counts pods, samples of metrics, and rows of the target's history.
fn rows(input: &ReplicaInput) -> usize {
    let samples: usize = input.metrics.iter().map(|metric| metric.value.len()).sum();
    let past = input.recommendations.at_ms.len() + input.scale_events.at_ms.len();
    input.pods.len() + samples + past
}

/// Checks whether a text is a valid policy name.
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
    let describe = |store: &mut Store<Guest>| linked.describe(store);
    let run = bounded(|| confine::run(engine, budget, InputSize::default(), describe));
    let description = run.outcome.map_err(|failure| LoadError::Describe {
        failure,
        // A panic's message comes last.
        last_log_line: run
            .log
            .last()
            .map_or_else(String::new, |(_, line)| line.clone()),
    })?;
    answer::check_description(&description, |kind| contract.exports(surface, kind))?;
    Ok(description)
}
