//! Adapter for `flyball:policy@0.1.0-draft` (`wit/draft`): converts between the core's
//! types and WIT. Columns are lent, not copied.

mod expander;
mod replica;
mod scale_down;

use std::sync::Arc;

use flyball_decision::context::{Context, GrantedInput, Reason};
use flyball_decision::expander::{ExpanderInput, ExpanderRanking};
use flyball_decision::policy::{Description, WantedInput, interface};
use flyball_decision::replica::{ReplicaDecision, ReplicaInput};
use flyball_decision::scale_down::{
    MoveVerdicts, NodeVerdicts, PodVerdicts, ScaleDownMovesInput, ScaleDownNodesInput,
    ScaleDownPodsInput,
};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Store, StoreContextMut};

use crate::contract::Refusal;
use crate::guest::{self, Guest};

/// A component exports only some of this world's interfaces: each is looked up by itself.
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/draft",
        inline: "
            package flyball:host;

            world every-kind {
                export flyball:policy/description@0.1.0-draft;
                export flyball:policy/replica@0.1.0-draft;
                export flyball:policy/expander@0.1.0-draft;
                export flyball:policy/scale-down-pods@0.1.0-draft;
                export flyball:policy/scale-down-nodes@0.1.0-draft;
                export flyball:policy/scale-down-moves@0.1.0-draft;
            }
        ",
        world: "flyball:host/every-kind",
        ownership: Borrowing { duplicate_if_necessary: false },
    });
}

use bindings::exports::flyball::policy as exports;
use bindings::flyball::policy::{scale_down_types, types};

/// A component linked against this version, by the interfaces that it exports.
pub(crate) struct Linked {
    pre: InstancePre<Guest>,
    description: exports::description::GuestIndices,
    replica: Option<exports::replica::GuestIndices>,
    expander: Option<exports::expander::GuestIndices>,
    scale_down_pods: Option<exports::scale_down_pods::GuestIndices>,
    scale_down_nodes: Option<exports::scale_down_nodes::GuestIndices>,
    scale_down_moves: Option<exports::scale_down_moves::GuestIndices>,
}

/// The interface that policies import. It is linked without the bindings, because a call
/// takes fuel, which is the store's.
const LOG: &str = "flyball:policy/log@0.1.0-draft";

impl Linked {
    /// Resolves imports and looks up exports.
    pub fn new(component: &Component, exported: &[&str]) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(component.engine());
        linker
            .instance(LOG)?
            .func_wrap("log", |store, (level, message)| log(store, level, message))?;
        let pre = linker.instantiate_pre(component)?;
        // Looks up an interface that the component exports.
        fn look_up<T>(
            exported: &[&str],
            interface: &str,
            look_up: impl FnOnce() -> wasmtime::Result<T>,
        ) -> wasmtime::Result<Option<T>> {
            exported.contains(&interface).then(look_up).transpose()
        }
        Ok(Self {
            description: exports::description::GuestIndices::new(&pre)?,
            replica: look_up(exported, interface::REPLICA, || {
                exports::replica::GuestIndices::new(&pre)
            })?,
            expander: look_up(exported, interface::EXPANDER, || {
                exports::expander::GuestIndices::new(&pre)
            })?,
            scale_down_pods: look_up(exported, interface::SCALE_DOWN_PODS, || {
                exports::scale_down_pods::GuestIndices::new(&pre)
            })?,
            scale_down_nodes: look_up(exported, interface::SCALE_DOWN_NODES, || {
                exports::scale_down_nodes::GuestIndices::new(&pre)
            })?,
            scale_down_moves: look_up(exported, interface::SCALE_DOWN_MOVES, || {
                exports::scale_down_moves::GuestIndices::new(&pre)
            })?,
            pre,
        })
    }

    /// Asks the policy for its description, and checks the types of all its exports.
    pub fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<Description> {
        let instance = self.pre.instantiate(&mut *store)?;
        if let Some(replica) = &self.replica {
            replica.load(&mut *store, &instance)?;
        }
        if let Some(expander) = &self.expander {
            expander.load(&mut *store, &instance)?;
        }
        if let Some(pods) = &self.scale_down_pods {
            pods.load(&mut *store, &instance)?;
        }
        if let Some(nodes) = &self.scale_down_nodes {
            nodes.load(&mut *store, &instance)?;
        }
        if let Some(moves) = &self.scale_down_moves {
            moves.load(&mut *store, &instance)?;
        }
        let policy = self.description.load(&mut *store, &instance)?;
        let description = policy.call_describe(store)?;
        Ok(Description {
            name: description.name,
            version: description.version,
            summary: description.summary,
            kinds: description.kinds,
            configuration_schema: description.configuration_schema,
            state_version: description.state_version,
            wants: description.wants.into_iter().map(wanted).collect(),
        })
    }

    /// Asks a replica policy to decide.
    pub fn decide(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ReplicaInput,
    ) -> wasmtime::Result<Result<ReplicaDecision, Refusal>> {
        let indices = exported(self.replica.as_ref(), interface::REPLICA)?;
        let instance = self.pre.instantiate(&mut *store)?;
        let policy = indices.load(&mut *store, &instance)?;
        replica::decide(&policy, store, context, input)
    }

    /// Asks an expander to rank.
    pub fn rank(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ExpanderInput,
    ) -> wasmtime::Result<Result<ExpanderRanking, Refusal>> {
        let indices = exported(self.expander.as_ref(), interface::EXPANDER)?;
        let instance = self.pre.instantiate(&mut *store)?;
        let policy = indices.load(&mut *store, &instance)?;
        expander::rank(&policy, store, context, input)
    }

    /// Asks a scale-down policy to judge pods.
    pub fn judge_pods(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ScaleDownPodsInput,
    ) -> wasmtime::Result<Result<PodVerdicts, Refusal>> {
        let indices = exported(self.scale_down_pods.as_ref(), interface::SCALE_DOWN_PODS)?;
        let instance = self.pre.instantiate(&mut *store)?;
        let policy = indices.load(&mut *store, &instance)?;
        scale_down::judge_pods(&policy, store, context, input)
    }

    /// Asks a scale-down policy to judge nodes.
    pub fn judge_nodes(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ScaleDownNodesInput,
    ) -> wasmtime::Result<Result<NodeVerdicts, Refusal>> {
        let indices = exported(self.scale_down_nodes.as_ref(), interface::SCALE_DOWN_NODES)?;
        let instance = self.pre.instantiate(&mut *store)?;
        let policy = indices.load(&mut *store, &instance)?;
        scale_down::judge_nodes(&policy, store, context, input)
    }

    /// Asks a scale-down policy to judge moves.
    pub fn judge_moves(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ScaleDownMovesInput,
    ) -> wasmtime::Result<Result<MoveVerdicts, Refusal>> {
        let indices = exported(self.scale_down_moves.as_ref(), interface::SCALE_DOWN_MOVES)?;
        let instance = self.pre.instantiate(&mut *store)?;
        let policy = indices.load(&mut *store, &instance)?;
        scale_down::judge_moves(&policy, store, context, input)
    }
}

/// Takes a line of a guest's log.
fn log(mut store: StoreContextMut<'_, Guest>, level: u32, message: String) -> wasmtime::Result<()> {
    let fuel = guest::log_fuel(&message);
    store.data_mut().log.push(level, message)?;
    guest::take_fuel(&mut store, fuel)
}

fn exported<'a, T>(indices: Option<&'a T>, interface: &str) -> wasmtime::Result<&'a T> {
    indices.ok_or_else(|| wasmtime::Error::msg(format!("it exports no {interface}")))
}

/// Calls `call` with a borrowed context.
fn lend<T>(context: &Context, call: impl FnOnce(types::Context<'_>) -> T) -> T {
    let texts: Vec<Texts> = context.inputs.iter().map(Texts::new).collect();
    let inputs: Vec<_> = context.inputs.iter().zip(&texts).map(granted).collect();
    call(types::Context {
        now_ms: context.now.0,
        seed: context.seed,
        configuration: &context.configuration,
        state: &context.state,
        inputs: &inputs,
    })
}

fn refusal(error: types::Error) -> Refusal {
    Refusal {
        code: error.code,
        message: error.message,
    }
}

/// Texts of a granted input, as the bindings borrow them.
struct Texts<'a> {
    keys: Vec<&'a str>,
    texts: Vec<&'a str>,
}

impl<'a> Texts<'a> {
    fn new(input: &'a GrantedInput) -> Self {
        Self {
            keys: input.keys.iter().map(String::as_str).collect(),
            texts: input.texts.iter().map(String::as_str).collect(),
        }
    }
}

fn granted<'a>((input, texts): (&'a GrantedInput, &'a Texts<'a>)) -> types::GrantedInput<'a> {
    types::GrantedInput {
        error: &input.error,
        keys: &texts.keys,
        texts: &texts.texts,
        times_ms: &input.times_ms,
        values: &input.values,
        rows: &input.rows,
        numbers: &input.numbers,
    }
}

fn texts(column: &[Arc<str>]) -> Vec<&str> {
    column.iter().map(|text| &**text).collect()
}

/// Marks unknown figures as the contract does.
fn figures(column: &[Option<f64>]) -> Vec<f64> {
    column
        .iter()
        .map(|figure| figure.unwrap_or(f64::NAN))
        .collect()
}

fn arguments(arguments: Vec<types::Argument>) -> Vec<(String, String)> {
    arguments
        .into_iter()
        .map(|argument| (argument.name, argument.value))
        .collect()
}

fn wanted(wanted: types::WantedInput) -> WantedInput {
    WantedInput {
        kind: wanted.kind,
        arguments: arguments(wanted.arguments),
    }
}

fn reason(reason: types::Reason) -> Reason {
    Reason {
        code: reason.code,
        arguments: arguments(reason.arguments),
        sentence: reason.sentence,
    }
}
