//! Between the contract's functions and the author's: what [`replica_policy!`]
//! (the macro) fills in, and how calls go through it.
//!
//! [`replica_policy!`]: crate::replica_policy

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::bindings::exports::flyball::policy::{description, replica as wire};
use crate::bindings::flyball::policy::types;
use crate::decision::{Decision, Refusal};
use crate::replica::{NoConfig, Replica};
use crate::time::Time;
use crate::want::Want;

/// A replica policy, as the macro describes it.
pub trait ReplicaPolicy {
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

    /// Decides.
    ///
    /// # Errors
    /// The policy's refusal.
    fn decide(input: &Replica<Self::Config, Self::State>) -> Result<Decision, Refusal>;
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
pub fn describe<P: ReplicaPolicy>(schema: &str) -> description::Description {
    report_panics();
    description::Description {
        name: P::NAME.into(),
        version: P::VERSION.into(),
        summary: P::SUMMARY.into(),
        kinds: vec!["replica".into()],
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
    input: wire::Input,
) -> Result<wire::Decision, types::Error> {
    report_panics();
    replica::<P>(context, input)
        .and_then(|replica| {
            let decision = P::decide(&replica);
            // The instance ends with this call: giving back each column is for nothing.
            std::mem::forget(replica);
            decision
        })
        .and_then(Decision::into_wire)
        .map_err(|Refusal { code, message }| types::Error { code, message })
}

fn replica<P: ReplicaPolicy>(
    context: types::Context,
    input: wire::Input,
) -> Result<Replica<P::Config, P::State>, Refusal> {
    let config = P::config(&context.configuration)?;
    let state = match context.state.as_str() {
        "" => P::State::default(),
        text => P::state(text)?,
    };
    let (now, seed, granted) = (Time::from_ms(context.now_ms), context.seed, context.inputs);
    Ok(Replica {
        input,
        now,
        seed,
        granted,
        config,
        state,
    })
}

/// Lets the host's log say why the policy trapped.
fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
}
