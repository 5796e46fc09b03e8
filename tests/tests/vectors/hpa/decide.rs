//! One decision by the real pipeline and the policy in its sandbox.

use std::sync::{Arc, LazyLock};

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_replicas::memory::ObjectMemory;
use flyball_replicas::observe::{Columns, Prepared};
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::pipeline::{self, DecisionContext};
use flyball_replicas::pods::Pod;
use flyball_replicas::ports::{Autoscaler, MetricAnswer, ObservationError, Scale};
use flyball_replicas::record::DecisionRecord;
use flyball_replicas::spec::AutoscalerSpec;
use flyball_replicas::status::{AutoscalerStatus, Condition, condition};
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, EngineOptions};
use flyball_test_policies::TestEngine;

/// An engine that knows the built-in policy `hpa` alone, compiled once.
pub static HPA: LazyLock<Arc<TestEngine>> = LazyLock::new(|| {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let (name, bytes) = flyball_policies::BUILTIN
        .iter()
        .find(|(name, _)| *name == "hpa")
        .unwrap();
    let policy = CompiledPolicy::load(&engine, name, bytes, DEFAULT_BUDGET).unwrap();
    let known = TestEngine::default();
    known.replicas.insert(Arc::new(policy));
    Arc::new(known)
});

/// What one decision is made from.
pub struct Situation {
    pub now: Timestamp,
    pub options: ReplicaOptions,
    pub spec: AutoscalerSpec,
    pub scale: Scale,
    pub pods: Result<Arc<[Pod]>, ObservationError>,
    pub answers: Vec<Result<MetricAnswer, ObservationError>>,
    pub memory: ObjectMemory,
    /// Both tolerances, in place of those of the spec.
    pub tolerances: Option<(f64, f64)>,
}

/// An autoscaler as the cluster might hold it.
pub fn autoscaler(spec: AutoscalerSpec, status: AutoscalerStatus, generation: i64) -> Autoscaler {
    Autoscaler {
        key: ObjectKey {
            namespace: "default".into(),
            name: "web".into(),
        },
        uid: "0a7c1f0e".into(),
        generation,
        spec: Arc::new(spec),
        status: Arc::new(status),
    }
}

/// Decides, with the pipeline's branch at zero replicas passed by: the vectors of
/// single metrics don't have it.
pub fn decide(mut situation: Situation) -> (DecisionRecord, AutoscalerStatus) {
    let mut status = AutoscalerStatus::default();
    situation.spec.min_replicas.get_or_insert(0);
    if situation.scale.spec_replicas == 0 {
        situation.options.scale_to_zero = true;
        situation.spec.min_replicas = Some(1);
        status.conditions.push(Condition {
            kind: condition::SCALED_TO_ZERO.into(),
            status: "True".into(),
            last_transition_time: Timestamp(0),
            reason: "ScaledToZero".into(),
            message: "".into(),
        });
    }
    let autoscaler = autoscaler(situation.spec, status, 1);
    let mut prepared = Prepared::new(&autoscaler, &situation.options);
    if let Some((up, down)) = situation.tolerances {
        (prepared.tolerance_up, prepared.tolerance_down) = (up, down);
    }
    let mut columns = Columns::new(&prepared);
    if let Ok(pods) = &situation.pods {
        columns.update(&prepared, pods, situation.answers);
    }
    let context = DecisionContext {
        now: situation.now,
        options: &situation.options,
        engine: &**HPA,
        autoscaler: &autoscaler,
        prepared: &prepared,
        conflict: None,
        scale: Ok(&situation.scale),
        pods: situation.pods.as_ref().map(|_| ()),
        columns: &columns,
        labels: None,
        annotations: None,
        memory: &situation.memory,
        removable: None,
        put_off: None,
        sequence: 1,
    };
    let decision = pipeline::decide(&context);
    let written = decision.intent().map(|_| Ok(()));
    decision.conclude(&autoscaler.status, written)
}
