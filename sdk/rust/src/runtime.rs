//! Between the contract's functions and the author's: what the macros fill in, and
//! how calls go through it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::bindings::description::exports::flyball::policy::description;
use crate::bindings::expander::exports::flyball::policy::expander as expander_wire;
use crate::bindings::replica::exports::flyball::policy::replica as replica_wire;
use crate::bindings::scale_down_moves::exports::flyball::policy::scale_down_moves as moves_wire;
use crate::bindings::scale_down_nodes::exports::flyball::policy::scale_down_nodes as nodes_wire;
use crate::bindings::scale_down_pods::exports::flyball::policy::scale_down_pods as pods_wire;
use crate::bindings::types;
use crate::decision::Decision;
use crate::expander::Expander;
use crate::given::{Given, NoConfig};
use crate::ranking::Ranking;
use crate::reason::Refusal;
use crate::replica::Replica;
use crate::scale_down_moves::{MoveVerdicts, ScaleDownMoves};
use crate::scale_down_nodes::{NodeVerdicts, ScaleDownNodes};
use crate::scale_down_pods::{PodVerdicts, ScaleDownPods};
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
    /// The interfaces of the contract that it exports.
    const INTERFACES: &'static [&'static str];
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

/// A policy that says what happens to each pod if its node leaves.
pub trait PodJudge: Policy {
    /// Judges.
    ///
    /// # Errors
    /// The policy's refusal.
    fn judge_pods(input: &ScaleDownPods<Self::Config, Self::State>)
    -> Result<PodVerdicts, Refusal>;
}

/// A policy that says which nodes may leave.
pub trait NodeJudge: Policy {
    /// Judges.
    ///
    /// # Errors
    /// The policy's refusal.
    fn judge_nodes(
        input: &ScaleDownNodes<Self::Config, Self::State>,
    ) -> Result<NodeVerdicts, Refusal>;
}

/// A policy that says which moves are worth their price.
pub trait MoveJudge: Policy {
    /// Judges.
    ///
    /// # Errors
    /// The policy's refusal.
    fn judge_moves(
        input: &ScaleDownMoves<Self::Config, Self::State>,
    ) -> Result<MoveVerdicts, Refusal>;
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
        kinds: kinds(P::INTERFACES),
        configuration_schema: schema.into(),
        state_version: P::STATE_VERSION,
        wants: P::wants().into_iter().map(Want::into_wire).collect(),
    }
}

/// Returns the kinds of these interfaces, each once. Interfaces of one kind stand next to
/// each other.
fn kinds(interfaces: &[&'static str]) -> Vec<String> {
    let mut kinds = Vec::new();
    let mut last = "";
    for &interface in interfaces {
        let kind = if interface.starts_with("scale-down") {
            "scale-down"
        } else {
            interface
        };
        if kind != last {
            kinds.push(kind.to_owned());
        }
        last = kind;
    }
    kinds
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

/// The contract's `judge` of pods.
///
/// # Errors
/// The policy's refusal, or a configuration or state that cannot be read.
pub fn judge_pods<P: PodJudge>(
    context: types::Context,
    input: pods_wire::Input,
) -> Result<pods_wire::Verdicts, types::Error> {
    answer(|| {
        let given = given::<P>(context)?;
        Ok(asked(ScaleDownPods { input, given }, P::judge_pods)?.into_wire())
    })
}

/// The contract's `judge` of nodes.
///
/// # Errors
/// The policy's refusal, or a configuration or state that cannot be read.
pub fn judge_nodes<P: NodeJudge>(
    context: types::Context,
    input: nodes_wire::Input,
) -> Result<nodes_wire::Verdicts, types::Error> {
    answer(|| {
        let given = given::<P>(context)?;
        Ok(asked(ScaleDownNodes { input, given }, P::judge_nodes)?.into_wire())
    })
}

/// The contract's `judge` of moves.
///
/// # Errors
/// The policy's refusal, or a configuration or state that cannot be read.
pub fn judge_moves<P: MoveJudge>(
    context: types::Context,
    input: moves_wire::Input,
) -> Result<moves_wire::Verdicts, types::Error> {
    answer(|| {
        let given = given::<P>(context)?;
        asked(ScaleDownMoves { input, given }, P::judge_moves)?.into_wire()
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
