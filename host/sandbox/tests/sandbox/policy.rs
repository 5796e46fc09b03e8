//! Policies: loading, decisions, answers.

mod answers;
mod children;
mod decisions;
mod forms;
mod fuel;
mod loading;

use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::policy::{Policy as _, PolicyFailure, PolicyOutcome};
use flyball_decision::replica::{MetricInput, PodColumns, ReplicaDecision, ReplicaInput};
use flyball_decision::time::Timestamp;
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, EngineOptions, LoadError};

use crate::guest::Guest;

fn engine() -> Engine {
    Engine::new(&EngineOptions::default()).unwrap()
}

fn load(guest: &Guest) -> Result<CompiledPolicy, LoadError> {
    CompiledPolicy::load(&engine(), "guest", &guest.build(), DEFAULT_BUDGET)
}

pub(crate) fn input(pods: usize, metrics: usize) -> ReplicaInput {
    let metric = Arc::new(MetricInput {
        source: "Resource".into(),
        name: "cpu".into(),
        pod: (0..u32::try_from(pods).unwrap()).collect(),
        value: vec![100; pods],
        ..MetricInput::default()
    });
    ReplicaInput {
        pods: Arc::new(PodColumns {
            state: vec![18; pods],
            ready_transition_ms: vec![0; pods],
            start_ms: vec![0; pods],
            deletion_ms: vec![i64::MIN; pods],
        }),
        metrics: vec![metric; metrics],
        ..ReplicaInput::default()
    }
}

fn context() -> Context {
    Context {
        now: Timestamp(1_000),
        configuration: "{}".into(),
        ..Context::default()
    }
}

fn decide(guest: &Guest) -> PolicyOutcome<ReplicaDecision> {
    load(guest).unwrap().decide(&context(), &input(2, 1))
}

fn failure(decide_body: &str) -> PolicyFailure {
    let guest = Guest {
        decide: decide_body.into(),
        ..Guest::default()
    };
    decide(&guest).answer.unwrap_err()
}

fn refused(bytes: &[u8]) -> String {
    CompiledPolicy::load(&engine(), "guest", bytes, DEFAULT_BUDGET)
        .unwrap_err()
        .to_string()
}
