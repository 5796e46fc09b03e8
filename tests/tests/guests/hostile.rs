//! Every hostile guest, driven through the real sandbox: it fails in exactly one
//! way, the message says why, nothing is scaled because of it, and the policy
//! beside it decides as if nothing had happened.

mod ends;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flyball_decision::context::Context;
use flyball_decision::policy::{Policy as _, PolicyOutcome};
use flyball_decision::replica::{
    MetricInput, PodColumns, ReplicaDecision, ReplicaInput, Target, UNKNOWN_POD, pod_state,
};
use flyball_decision::time::Timestamp;
use flyball_sandbox::{
    CompiledPolicy, CompilerOptions, ConfigurationError, DEFAULT_BUDGET, Engine, EngineOptions,
    LoadError,
};
use flyball_tests::guests;

use ends::End::{self, Answers, Fails, Unloadable};
use ends::ends;

#[test]
fn every_guest_ends_as_it_must_and_harms_no_other() {
    let engine = engine();
    let components = guests::components("hostile").unwrap();
    let ends = ends();
    let tested: BTreeSet<&str> = ends.iter().map(|(guest, _)| *guest).collect();
    let there: BTreeSet<&str> = components.keys().map(String::as_str).collect();
    assert_eq!(there, tested, "guests on the left, tests on the right");

    let neighbour = neighbour(&engine);
    let undisturbed = ask(&neighbour);
    assert_eq!(undisturbed.answer.as_ref().unwrap().replicas, Some(3));

    let mut wrong = Vec::new();
    for (guest, end) in &ends {
        if let Err(what) = check(&engine, guest, &components[*guest], end) {
            wrong.push(format!("{guest}: {what}"));
        }
        assert_eq!(ask(&neighbour), undisturbed, "the policy beside {guest}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Asks a guest twice, and says what is not as it must be.
fn check(engine: &Engine, guest: &str, component: &[u8], end: &End) -> Result<(), String> {
    let policy = match (
        CompiledPolicy::load(engine, guest, component, DEFAULT_BUDGET),
        end,
    ) {
        (Ok(policy), Answers(_) | Fails(..)) => policy,
        (Err(error), Unloadable(is, words)) => {
            let said = error.to_string();
            let right = is(&error) && said.contains(words);
            return if right {
                Ok(())
            } else {
                Err(format!("{error:?} says {said:?}"))
            };
        }
        (Ok(_), Unloadable(..)) => return Err("it was loaded".into()),
        (Err(error), _) => return Err(format!("it was not loaded: {error}")),
    };
    let outcome = ask(&policy);
    if ask(&policy) != outcome {
        return Err(format!("asked again, it ends otherwise: {outcome:?}"));
    }
    let right = match (&outcome.answer, end) {
        (Ok(decision), Answers(replicas)) => decision.replicas == Some(*replicas),
        (Err(failure), Fails(code, words)) => {
            failure.code() == *code && failure.message().contains(words)
        }
        _ => false,
    };
    if right {
        Ok(())
    } else {
        Err(format!("{:?}", outcome.answer))
    }
}

#[test]
fn a_flood_of_the_log_is_cut() {
    let engine = engine();
    let outcome = ask(&load(&engine, "log_flood"));
    assert!(outcome.answer.is_ok());
    let log = outcome.log;
    assert!(log.len() < 50, "{} lines", log.len());
    assert!(log.iter().all(|(_, line)| line.len() < 1_000));
    assert!(log[0].1.ends_with('…'), "{}", log[0].1);
    assert_eq!(log[1].1, "line 0");
    let (_, last) = log.last().unwrap();
    assert!(last.ends_with("more lines dropped"), "{last}");
}

#[test]
fn a_configuration_is_held_against_the_schema() {
    let engine = engine();
    let policy = load(&engine, "configuration_demanding");
    let check = |configuration: serde_json::Value| {
        policy.check_configuration(configuration.as_object().unwrap())
    };
    check(serde_json::json!({ "ceiling": 5 })).unwrap();
    for (configuration, words) in [
        (serde_json::json!({}), "ceiling"),
        (serde_json::json!({ "ceiling": "five" }), "/ceiling"),
        (serde_json::json!({ "ceiling": 0 }), "/ceiling"),
        (serde_json::json!({ "ceiling": 5, "flor": 2 }), "flor"),
    ] {
        let error = check(configuration).unwrap_err();
        assert!(matches!(error, ConfigurationError::Field { .. }));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_no_component_is_named() {
    let engine = engine();
    let refusal = |bytes: &[u8]| {
        CompiledPolicy::load(&engine, "culprit", bytes, DEFAULT_BUDGET)
            .err()
            .unwrap()
    };
    assert_eq!(refusal(b""), LoadError::NotWasm);
    assert_eq!(
        refusal(b"#!/bin/sh\nkubectl scale --replicas=0\n"),
        LoadError::NotWasm
    );

    let plain = guests::modules("plain").unwrap();
    assert_eq!(refusal(&plain[0].module), LoadError::CoreModule);

    let component = plain[0].component().unwrap();
    for part in 1..50 {
        let cut = component.len() * part / 50;
        let error = refusal(&component[..cut]);
        assert!(
            matches!(error, LoadError::Truncated { .. }),
            "cut at {cut}: {error}"
        );
    }
}

/// The guest of the benchmark: what it costs would be wrong if it failed.
#[test]
fn a_guest_that_does_nothing_holds() {
    let engine = engine();
    let nothing = &guests::components("plain").unwrap()["nothing"];
    let nothing = CompiledPolicy::load(&engine, "nothing", nothing, DEFAULT_BUDGET).unwrap();
    assert_eq!(ask(&nothing).answer.unwrap().replicas, None);
}

/// What a component may have is what a pool has room for, to the last one.
#[test]
fn a_component_with_as_much_as_is_allowed_decides_and_one_with_more_is_refused() {
    let engine = engine();
    // It has one memory of its own.
    let three = &guests::components("plain").unwrap()["three"];
    let own = core_instances(three);
    let with = |count, fields: &str| {
        let mut component = three.clone();
        guests::add_core_instances(&mut component, count, fields).unwrap();
        CompiledPolicy::load(&engine, "three", &component, DEFAULT_BUDGET)
    };
    for (most, fields) in [(64 - own, ""), (4 - 1, "(memory 1)")] {
        let policy = with(most, fields).unwrap();
        assert_eq!(ask(&policy).answer.unwrap().replicas, Some(3), "{fields}");
    }
    for (more, fields, words) in [
        (64 - own + 1, "", "core module instances"),
        (4 - 1 + 1, "(memory 1)", "contains 5 Wasm linear memories"),
    ] {
        let error = with(more, fields).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Core modules that a component instantiates.
fn core_instances(component: &[u8]) -> u8 {
    let payloads = wasmparser::Parser::new(0).parse_all(component);
    let instances = payloads.filter_map(|payload| match payload.unwrap() {
        wasmparser::Payload::InstanceSection(section) => Some(section),
        _ => None,
    });
    let instances = instances.flatten().map(Result::unwrap);
    let made = instances.filter(|one| matches!(one, wasmparser::Instance::Instantiate { .. }));
    u8::try_from(made.count()).unwrap()
}

/// An engine as the daemon has it. CPU time is what any guest takes that behaves, on a
/// busy machine.
fn engine() -> Engine {
    let compiler = CompilerOptions {
        cpu: Duration::from_secs(10),
        // Whatever the machine's cgroup leaves.
        memory_bytes: Some(256 << 20),
        ..CompilerOptions::program(env!("CARGO_BIN_EXE_flyball-compile").into())
    };
    let options = EngineOptions {
        compiler: Some(compiler),
        ..EngineOptions::default()
    };
    Engine::new(&options).unwrap()
}

fn neighbour(engine: &Engine) -> CompiledPolicy {
    let component = &guests::components("plain").unwrap()["three"];
    CompiledPolicy::load(engine, "three", component, DEFAULT_BUDGET).unwrap()
}

fn load(engine: &Engine, guest: &str) -> CompiledPolicy {
    let component = &guests::components("hostile").unwrap()[guest];
    CompiledPolicy::load(engine, guest, component, DEFAULT_BUDGET).unwrap()
}

fn ask(policy: &CompiledPolicy) -> PolicyOutcome<ReplicaDecision> {
    policy.decide(
        &Context {
            now: NOW,
            ..Context::default()
        },
        &input(),
    )
}

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// Three pods at 80% of their request, where 50% is the target.
fn input() -> ReplicaInput {
    const PODS: usize = 3;
    ReplicaInput {
        target: Arc::new(Target {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: "default".into(),
            name: "web".into(),
        }),
        min_replicas: 1,
        max_replicas: 10,
        current_replicas: 3,
        status_replicas: 3,
        ready_replicas: 3,
        tolerance_up: 0.1,
        tolerance_down: 0.1,
        pods: Arc::new(PodColumns {
            state: vec![pod_state::RUNNING | pod_state::READY; PODS],
            ready_transition_ms: vec![NOW.0 - 500_000; PODS],
            start_ms: vec![NOW.0 - 600_000; PODS],
            deletion_ms: vec![Timestamp::UNKNOWN; PODS],
        }),
        metrics: vec![Arc::new(MetricInput {
            source: "Resource".into(),
            name: "cpu".into(),
            target_type: "Utilization".into(),
            target_average_utilization: Some(50),
            pod: vec![0, 1, 2, UNKNOWN_POD],
            value: vec![400; PODS + 1],
            timestamp_ms: vec![NOW.0 - 15_000; PODS + 1],
            window_ms: vec![30_000; PODS + 1],
            request: vec![500; PODS],
            ..MetricInput::default()
        })],
        ..ReplicaInput::default()
    }
}
