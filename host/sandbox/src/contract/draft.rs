//! Adapter for `flyball:policy@0.1.0-draft` (`wit/draft`): core's types to WIT
//! and back. Columns are lent, not copied.

use flyball_core::policy::{Description, WantedInput};
use flyball_core::replica::{
    Context, GrantedInput, MetricInput, Proposal, Reason, ReplicaDecision, ReplicaInput, Samples,
};
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use crate::confine::Guest;
use crate::contract::Refusal;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/draft",
        world: "replica-policy",
        ownership: Borrowing { duplicate_if_necessary: false },
        imports: { default: trappable },
    });
}

use bindings::exports::flyball::policy::replica;
use bindings::flyball::policy::{log, types};

/// A component linked against this version.
pub(crate) struct Linked(bindings::ReplicaPolicyPre<Guest>);

impl log::Host for Guest {
    fn log(&mut self, level: u32, message: String) -> wasmtime::Result<()> {
        self.log.push(level, message)
    }
}

impl Linked {
    /// Resolves imports, and checks the exports' types.
    pub fn new(component: &Component) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(component.engine());
        log::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        let pre: InstancePre<Guest> = linker.instantiate_pre(component)?;
        Ok(Self(bindings::ReplicaPolicyPre::new(pre)?))
    }

    /// Asks the policy to describe itself.
    pub fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<Description> {
        let policy = self.0.instantiate(&mut *store)?;
        let description = policy.flyball_policy_description().call_describe(store)?;
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

    /// Asks the policy to decide.
    pub fn decide(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ReplicaInput,
    ) -> wasmtime::Result<Result<ReplicaDecision, Refusal>> {
        let policy = self.0.instantiate(&mut *store)?;
        let texts: Vec<Texts> = context.inputs.iter().map(Texts::new).collect();
        let inputs: Vec<_> = context.inputs.iter().zip(&texts).map(granted).collect();
        let metrics: Vec<_> = input.metrics.iter().map(|one| metric(one)).collect();
        let answer = policy.flyball_policy_replica().call_decide(
            store,
            types::Context {
                now_ms: context.now.0,
                seed: context.seed,
                configuration: &context.configuration,
                state: &context.state,
                inputs: &inputs,
            },
            lend(input, &metrics),
        )?;
        Ok(answer.map(decision).map_err(|error| Refusal {
            code: error.code,
            message: error.message,
        }))
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
    }
}

fn lend<'a>(input: &'a ReplicaInput, metrics: &'a [replica::Metric<'a>]) -> replica::Input<'a> {
    replica::Input {
        target: replica::Target {
            api_version: &input.target.api_version,
            kind: &input.target.kind,
            namespace: &input.target.namespace,
            name: &input.target.name,
        },
        min_replicas: input.min_replicas,
        max_replicas: input.max_replicas,
        current_replicas: input.current_replicas,
        status_replicas: input.status_replicas,
        ready_replicas: input.ready_replicas,
        tolerance_up: input.tolerance_up,
        tolerance_down: input.tolerance_down,
        cpu_initialization_period_ms: input.cpu_initialization_period_ms,
        initial_readiness_delay_ms: input.initial_readiness_delay_ms,
        pods: replica::Pods {
            state: &input.pods.state,
            ready_transition_ms: &input.pods.ready_transition_ms,
            start_ms: &input.pods.start_ms,
            deletion_ms: &input.pods.deletion_ms,
        },
        metrics,
        recommendations: samples(&input.recommendations),
        scale_events: samples(&input.scale_events),
    }
}

fn metric(metric: &MetricInput) -> replica::Metric<'_> {
    replica::Metric {
        source: &metric.source,
        name: &metric.name,
        container: &metric.container,
        selector: &metric.selector,
        target_type: &metric.target_type,
        target_value: metric.target_value,
        target_average_value: metric.target_average_value,
        target_average_utilization: metric.target_average_utilization,
        error: &metric.error,
        message: &metric.message,
        pod: &metric.pod,
        value: &metric.value,
        timestamp_ms: &metric.timestamp_ms,
        window_ms: &metric.window_ms,
        request: &metric.request,
    }
}

fn samples(samples: &Samples) -> replica::Samples<'_> {
    replica::Samples {
        at_ms: &samples.at_ms,
        replicas: &samples.replicas,
    }
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

fn decision(decision: replica::Decision) -> ReplicaDecision {
    ReplicaDecision {
        replicas: decision.replicas,
        reason: reason(decision.reason),
        proposals: decision.proposals.into_iter().map(proposal).collect(),
        leading: decision.leading,
        state: decision.state,
        again_after_ms: decision.again_after_ms,
    }
}

fn proposal(proposal: replica::Proposal) -> Proposal {
    Proposal {
        replicas: proposal.replicas,
        utilization: proposal.utilization,
        average: proposal.average,
        value: proposal.value,
        error: proposal.error,
        reason: reason(proposal.reason),
    }
}
