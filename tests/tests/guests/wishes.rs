//! A policy that reads labels and annotations by row, in the real sandbox: from the objects
//! of a cluster to the reason why a node stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::memory::PolicyMemories;
use flyball_decision::time::Timestamp;
use flyball_kubernetes::Dump;
use flyball_nodes::backoff::Backoffs;
use flyball_nodes::census::Census;
use flyball_nodes::cloud::{GroupScaleDown, Instance, InstanceState, NodeGroup};
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_nodes::scale_down::{
    ScaleDownContext, ScaleDownMode, ScaleDownPlan, ScaleDownTracker, plan_scale_down,
};
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, EngineOptions};
use flyball_test_policies::TestEngine;
use flyball_tests::guests;
use serde_json::{Value, json};

/// Labels and annotations of an object.
struct Marks(Value, Value);

fn none() -> Marks {
    Marks(json!({}), json!({}))
}

fn node(name: &str, Marks(labels, annotations): Marks) -> Value {
    let amounts = json!({ "cpu": "4", "memory": "8Gi", "pods": "10" });
    json!({
        "kind": "Node",
        "metadata": { "name": name, "labels": labels, "annotations": annotations },
        "spec": { "providerID": name },
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn pod(node: &str, namespace: &str, Marks(labels, annotations): Marks) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {
            "name": format!("on-{node}"), "namespace": namespace, "uid": node,
            "labels": labels, "annotations": annotations,
        },
        "spec": {
            "nodeName": node,
            "containers": [{ "name": "a", "resources": { "requests": { "cpu": "100m" } } }],
        },
        "status": { "phase": "Running" },
    })
}

/// A cluster in which one thing is marked on each node but the last two.
fn cluster() -> Value {
    let marked = |key: &str, value: &str| json!({ key: value });
    let long = "x".repeat(2000);
    let namespace = |name: &str, labels: Value| json!({ "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
    json!({ "kind": "List", "items": [
        namespace("default", json!({})),
        namespace("kept", marked("keep", "yes")),
        node("a", none()),
        pod("a", "default", Marks(marked("keep", "me"), json!({}))),
        node("b", none()),
        pod("b", "default", Marks(json!({}), marked("example.com/keep", "it"))),
        node("c", none()),
        pod("c", "default", Marks(json!({}), marked("example.com/keep", &long))),
        node("d", none()),
        pod("d", "kept", none()),
        node("e", Marks(marked("keep", "yes"), json!({}))),
        pod("e", "default", none()),
        node("f", Marks(json!({}), marked("example.com/keep", "it"))),
        pod("f", "default", none()),
        node("g", Marks(marked("keep", "no"), marked("example.com/other", "it"))),
        pod("g", "default", Marks(marked("other", "me"), marked("example.com/other", "it"))),
        node("h", none()),
    ] })
}

fn plan(dump: &Value) -> ScaleDownPlan {
    let sandbox = Engine::new(&EngineOptions::default()).unwrap();
    let name = "keeps_marked";
    let component = &guests::components("wishes").unwrap()[name];
    let policy = CompiledPolicy::load(&sandbox, name, component, DEFAULT_BUDGET).unwrap();
    let engine = TestEngine::default();
    engine.scale_downs.insert(Arc::new(policy));
    let mut options = NodeOptions::default();
    options.scale_down.mode = ScaleDownMode::On;
    options.scale_down.policies = vec![ExpanderChoice::named(name)];
    let mut dump = Dump::read(dump.to_string().as_bytes()).unwrap();
    let state = &mut dump.state;
    let instance = |id: Arc<str>| Instance {
        provider_id: id,
        zone: None,
        state: InstanceState::Running,
        instance_type: None,
        spot: None,
    };
    let nodes = state.nodes();
    let instances: Vec<_> = nodes
        .map(|node| instance(Arc::clone(&node.facts.node.name)))
        .collect();
    let group = NodeGroup {
        name: "group".into(),
        min_size: 0,
        max_size: 10,
        target_size: u32::try_from(instances.len()).unwrap(),
        instances,
        zones: Vec::new(),
        template: None,
        price: None,
        instance_type: None,
        spot: None,
        scale_down: GroupScaleDown::default(),
        suspended: Vec::new(),
    };
    let now = Timestamp(1_800_000_000_000);
    let census = Census::without_history(now, state, &[Arc::new(group)], &options);
    let context = ScaleDownContext {
        now,
        options: &options,
        engine: &engine,
        memories: &PolicyMemories::default(),
        census: &census,
        backoffs: &Backoffs::default(),
        order: None,
        hold: None,
        seed: 0,
    };
    plan_scale_down(&context, state, &mut ScaleDownTracker::default())
}

#[test]
fn what_a_policy_reads_of_pods_nodes_and_namespaces_keeps_their_nodes() {
    let plan = plan(&cluster());
    let needed = plan.needed.iter();
    let needed: BTreeMap<&str, &str> = needed
        .map(|node| (&*node.name, &**node.stay.cause()))
        .collect();
    let expected = [
        ("a", "PodLabel"),
        ("b", "PodAnnotation"),
        ("c", "LongAnnotation"),
        ("d", "NamespaceLabel"),
        ("e", "NodeLabel"),
        ("f", "NodeAnnotation"),
    ];
    assert_eq!(needed, expected.into());
    let unneeded: Vec<&str> = plan.unneeded.iter().map(|node| &*node.name).collect();
    assert_eq!(unneeded, ["h", "g"]);
}
