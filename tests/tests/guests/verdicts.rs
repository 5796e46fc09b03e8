//! What the host makes of hostile guests: from an observation through the real
//! pipeline to a verdict. Nothing is scaled because a policy fails, nothing
//! leaves the bounds because it lies, and who is to blame is said.

use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::policy::{DEFAULT_REPLICA_POLICY, PolicyEngine, PolicyFailure};
use flyball_decision::time::Timestamp;
use flyball_replicas::memory::ObjectMemory;
use flyball_replicas::observe::{Columns, Prepared};
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::pipeline::{Decision, DecisionContext, decide};
use flyball_replicas::ports::{Autoscaler, Scale};
use flyball_replicas::spec::{
    AutoscalerSpec, Combine, CrossVersionObjectReference, Mode, PolicyRef,
};
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, EngineOptions};
use flyball_test_policies::TestEngine;
use flyball_tests::guests;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const MIN: i32 = 2;
const CURRENT: i32 = 4;
const MAX: i32 = 5;

/// Returns an engine with one guest, and a built-in policy as its fallback. The guest gets
/// no trial as in a registry: as if it had behaved until now.
fn without_trial(
    name: &str,
    guest: Result<Arc<CompiledPolicy>, PolicyFailure>,
    builtin: Arc<CompiledPolicy>,
) -> TestEngine {
    let engine = TestEngine::default();
    engine.replicas.set(DEFAULT_REPLICA_POLICY, Ok(builtin));
    engine.replicas.set(name, guest.map(|guest| guest as _));
    engine
}

#[test]
fn no_guest_scales_by_failing_or_beyond_the_bounds_by_lying() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let load = |name: &str, bytes: &[u8]| {
        CompiledPolicy::load(&engine, name, bytes, DEFAULT_BUDGET).map(Arc::new)
    };
    let builtin = load("hpa", &guests::components("plain").unwrap()["three"]).unwrap();

    let (mut failed, mut answered) = (0, 0);
    for (name, component) in guests::components("hostile").unwrap().iter() {
        let guest = load(name, component)
            .map_err(|error| PolicyFailure::Missing(format!("policy `{name}` failed: {error}")));
        let without = without_trial(name, guest, Arc::clone(&builtin));
        let options = ReplicaOptions::default();
        let decision = decide_with(&without, name, &options);
        let verdict = decision.verdict();
        if verdict.to.is_some() {
            answered += 1;
            let written = decision.intent().unwrap_or(CURRENT);
            assert!((MIN..=MAX).contains(&written), "{name}: {written}");
            continue;
        }
        failed += 1;
        assert_eq!(decision.intent(), None, "{name}");
        assert!(verdict.reason.starts_with("Policy"), "{name}: {verdict:?}");
        assert!(verdict.message.contains(name), "{name}: {verdict:?}");

        // If the operator wants it, the built-in policy decides instead.
        let options = ReplicaOptions {
            fallback: true,
            ..options
        };
        assert_eq!(
            decide_with(&without, name, &options).intent(),
            Some(3),
            "{name}"
        );
    }
    assert!(
        failed > 30 && answered > 5,
        "{failed} failed, {answered} answered"
    );
}

#[test]
fn zero_replicas_and_those_born_of_nan_meet_the_lower_bound() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let components = guests::components("hostile").unwrap();
    for name in ["answer_zero", "answer_nan"] {
        let guest =
            CompiledPolicy::load(&engine, name, &components[name], DEFAULT_BUDGET).map(Arc::new);
        let builtin = Arc::clone(guest.as_ref().unwrap());
        let guest = guest.map_err(|error| PolicyFailure::Missing(error.to_string()));
        let without = without_trial(name, guest, builtin);
        let decision = decide_with(&without, name, &ReplicaOptions::default());
        assert_eq!(decision.verdict().proposed, Some(0), "{name}");
        assert_eq!(decision.intent(), Some(MIN), "{name}");
    }
}

#[test]
fn a_configuration_that_does_not_fit_holds_the_target_and_names_the_field() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let name = "configuration_demanding";
    let component = &guests::components("hostile").unwrap()[name];
    let guest = Arc::new(CompiledPolicy::load(&engine, name, component, DEFAULT_BUDGET).unwrap());
    let without = without_trial(name, Ok(Arc::clone(&guest)), guest);
    let decision = decide_with(&without, name, &ReplicaOptions::default());
    assert_eq!(decision.intent(), None);
    let verdict = decision.verdict();
    assert_eq!(verdict.reason, "PolicyRefused");
    for words in [name, "InvalidConfiguration", "`/`", "\"ceiling\""] {
        assert!(verdict.message.contains(words), "{verdict:?}");
    }
}

/// Decides about a target of [`CURRENT`] replicas that names the policy.
fn decide_with(engine: &dyn PolicyEngine, policy: &str, options: &ReplicaOptions) -> Decision {
    let policy = PolicyRef {
        name: policy.into(),
        config: None,
    };
    let spec = AutoscalerSpec {
        scale_target_ref: CrossVersionObjectReference::default(),
        min_replicas: Some(MIN),
        max_replicas: MAX,
        metrics: Vec::new(),
        behavior: None,
        policies: vec![policy],
        combine: Combine::default(),
        mode: Mode::default(),
    };
    let autoscaler = Autoscaler {
        key: ObjectKey {
            namespace: "default".into(),
            name: "web".into(),
        },
        uid: "1".into(),
        generation: 1,
        spec: Arc::new(spec),
        status: Arc::default(),
    };
    let prepared = Prepared::new(&autoscaler, options);
    let scale = Scale {
        spec_replicas: CURRENT,
        status_replicas: CURRENT,
        selector: "app=web".into(),
        resource_version: "1".into(),
    };
    decide(&DecisionContext {
        now: NOW,
        options,
        engine,
        autoscaler: &autoscaler,
        prepared: &prepared,
        conflict: None,
        scale: Ok(&scale),
        pods: Ok(()),
        columns: &Columns::new(&prepared),
        labels: None,
        annotations: None,
        memory: &ObjectMemory::default(),
        removable: None,
        put_off: None,
        sequence: 1,
    })
}
