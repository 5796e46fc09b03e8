//! Between the contract's functions and the author's: what the macros fill in, and
//! how calls go through it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::bindings::description::exports::flyball::policy::description;
use crate::bindings::expander::exports::flyball::policy::expander as expander_wire;
use crate::bindings::replica::exports::flyball::policy::replica as replica_wire;
use crate::bindings::types;
use crate::decision::Decision;
use crate::expander::Expander;
use crate::given::{Given, NoConfig};
use crate::ranking::Ranking;
use crate::reason::Refusal;
use crate::replica::Replica;
use crate::time::Time;
use crate::want::Want;

/// A policy, as the macros describe it.
pub trait Policy {
    /// Its configuration.
    type Config;
    /// Its state.
    type State: Default;
    /// Its own name for itself.
    const NAME: &'static str;
    /// Its own version, semver.
    const VERSION: &'static str;
    /// One line for a list of policies.
    const SUMMARY: &'static str;
    /// The kinds that it is of.
    const KINDS: &'static [&'static str];
    /// Raised when an older state can no longer be read.
    const STATE_VERSION: u32;

    /// Inputs beyond the standard ones.
    fn wants() -> Vec<Want>;

    /// Reads a configuration.
    ///
    /// # Errors
    /// If it is none of this policy's.
    fn config(text: &str) -> Result<Self::Config, Refusal>;

    /// Reads a state that the policy returned, that is, not an empty one.
    ///
    /// # Errors
    /// If it is none of this policy's.
    fn state(text: &str) -> Result<Self::State, Refusal>;
}

/// A policy that says how many replicas there should be.
pub trait ReplicaPolicy: Policy {
    /// Decides.
    ///
    /// # Errors
    /// The policy's refusal.
    fn decide(input: &Replica<Self::Config, Self::State>) -> Result<Decision, Refusal>;
}

/// A policy that says which node group should grow.
pub trait ExpanderPolicy: Policy {
    /// Ranks.
    ///
    /// # Errors
    /// The policy's refusal.
    fn rank(input: &Expander<Self::Config, Self::State>) -> Result<Ranking, Refusal>;
}

/// JSON Schema (2020-12) of a configuration, on one line.
#[must_use]
pub fn schema<C: JsonSchema>() -> String {
    schemars::schema_for!(C).to_value().to_string()
}

/// Reads a configuration that has a type.
///
/// # Errors
/// If it does not match the type.
pub fn read_config<C: DeserializeOwned>(text: &str) -> Result<C, Refusal> {
    serde_json::from_str(text)
        .map_err(|error| Refusal::new("InvalidConfiguration", error.to_string()))
}

/// Reads the configuration of a policy that takes none. JSON is not parsed for
/// it: the parser would be most of a small policy's code.
///
/// # Errors
/// If there is something in it.
pub fn read_no_config(text: &str) -> Result<NoConfig, Refusal> {
    if text.bytes().all(|byte| b"{} \t\r\n".contains(&byte)) {
        return Ok(NoConfig {});
    }
    Err(Refusal::new(
        "InvalidConfiguration",
        "this policy takes no configuration",
    ))
}

/// Reads a state that has a type.
///
/// # Errors
/// If it does not match the type.
pub fn read_state<S: DeserializeOwned>(text: &str) -> Result<S, Refusal> {
    serde_json::from_str(text).map_err(|error| Refusal::new("InvalidState", error.to_string()))
}

/// The contract's `describe`.
#[must_use]
pub fn describe<P: Policy>(schema: &str) -> description::Description {
    report_panics();
    description::Description {
        name: P::NAME.into(),
        version: P::VERSION.into(),
        summary: P::SUMMARY.into(),
        kinds: P::KINDS.iter().map(|&kind| kind.into()).collect(),
        configuration_schema: schema.into(),
        state_version: P::STATE_VERSION,
        wants: P::wants().into_iter().map(Want::into_wire).collect(),
    }
}

/// The contract's `decide`.
///
/// # Errors
/// The policy's refusal, or a configuration or state that cannot be read.
pub fn decide<P: ReplicaPolicy>(
    context: types::Context,
    input: replica_wire::Input,
) -> Result<replica_wire::Decision, types::Error> {
    answer(|| {
        let given = given::<P>(context)?;
        asked(Replica { input, given }, P::decide)?.into_wire()
    })
}

/// The contract's `rank`.
///
/// # Errors
/// The policy's refusal, or a configuration or state that cannot be read.
pub fn rank<P: ExpanderPolicy>(
    context: types::Context,
    input: expander_wire::Input,
) -> Result<expander_wire::Ranking, types::Error> {
    answer(|| {
        let given = given::<P>(context)?;
        asked(Expander { input, given }, P::rank)?.into_wire()
    })
}

fn answer<A>(ask: impl FnOnce() -> Result<A, Refusal>) -> Result<A, types::Error> {
    report_panics();
    ask().map_err(|Refusal { code, message }| types::Error { code, message })
}

/// Asks about an input, which is left where it is: the instance ends with this call,
/// and giving back each column is for nothing.
fn asked<I, A>(input: I, ask: impl FnOnce(&I) -> A) -> A {
    let answer = ask(&input);
    std::mem::forget(input);
    answer
}

fn given<P: Policy>(context: types::Context) -> Result<Given<P::Config, P::State>, Refusal> {
    let config = P::config(&context.configuration)?;
    let state = match context.state.as_str() {
        "" => P::State::default(),
        text => P::state(text)?,
    };
    Ok(Given {
        now: Time::from_ms(context.now_ms),
        seed: context.seed,
        granted: context.inputs,
        config,
        state,
    })
}

/// Lets the host's log say why the policy trapped.
fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
}
