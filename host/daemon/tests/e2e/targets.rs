//! What is scaled: any kind with a scale subresource, and no other; and objects
//! that can't be read.

use serde_json::{Value, json};

use crate::scene::{Scene, autoscaler, queue};
use crate::support::wait_for;

/// A kind of the group `example.com`, with the scale that it has.
fn kind(kind: &str, scale: &Value) -> String {
    let plural = format!("{}s", kind.to_lowercase());
    let numbers = json!({ "type": "object", "properties": {
        "size": { "type": "integer" },
        "selector": { "type": "string" },
    }});
    let properties = json!({ "spec": numbers, "status": numbers });
    let mut subresources = json!({ "status": {} });
    if !scale.is_null() {
        subresources["scale"] = scale.clone();
    }
    let version = json!({
        "name": "v1",
        "served": true,
        "storage": true,
        "schema": { "openAPIV3Schema": { "type": "object", "properties": properties } },
        "subresources": subresources,
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.example.com") },
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": { "kind": kind, "plural": plural },
            "versions": [version],
        },
    })
    .to_string()
}

impl Scene {
    fn autoscale_kind(&self, name: &str, kind: &str, object: &str) {
        let spec = json!({
            "scaleTargetRef": { "apiVersion": "example.com/v1", "kind": kind, "name": object },
            "maxReplicas": 20,
            "metrics": [queue()],
        });
        self.apply(&autoscaler(name, &spec));
    }

    /// Creates a kind, and an object `one` of it with these numbers.
    fn create(&self, name: &str, scale: &Value, status: &Value) {
        self.apply(&kind(name, scale));
        let object = json!({
            "apiVersion": "example.com/v1",
            "kind": name,
            "metadata": { "name": "one" },
            "spec": { "size": 2 },
        });
        wait_for(name, crate::support::PATIENCE, || {
            self.cluster.apply(&object.to_string()).is_ok()
        });
        let object = format!("{}s/one", name.to_lowercase());
        let patch = json!({ "status": status }).to_string();
        let patch = [
            "patch",
            &object,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        self.cluster.kubectl(&patch).unwrap();
    }
}

#[test]
fn kinds_of_others_are_scaled_if_they_have_a_scale_and_else_it_is_said_what_is_missing() {
    let scene = Scene::new();
    let _metrics = scene.with_queue(40);
    let scale = json!({
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.selector",
    });
    scene.create(
        "Gadget",
        &scale,
        &json!({ "size": 2, "selector": "app=gadget" }),
    );
    let mut blind = scale.clone();
    blind.as_object_mut().unwrap().remove("labelSelectorPath");
    scene.create("Blind", &blind, &json!({ "size": 2 }));
    scene.create("Rigid", &Value::Null, &json!({ "size": 2 }));
    scene.autoscale_kind("gadget", "Gadget", "one");
    scene.autoscale_kind("blind", "Blind", "one");
    scene.autoscale_kind("rigid", "Rigid", "one");
    scene.autoscale_kind("missing", "Gadget", "two");
    scene.autoscale_kind("unheard-of", "Gizmo", "one");
    let _daemon = scene.daemon(&[]);

    wait_for("the gadget to grow", crate::support::PATIENCE, || {
        scene.field("gadgets/one", ".spec.size") == "4"
    });
    scene.wait_for_event("gadget", "SuccessfulRescale", "New size: 4");

    let unable = [
        (
            "rigid",
            "the scale of Rigid \"one\" can't be read: the kind has no scale subresource",
        ),
        (
            "missing",
            "the scale of Gadget \"two\" can't be read: gadgets.example.com \"two\" not found",
        ),
        (
            "unheard-of",
            "no matches for kind \"Gizmo\" in group \"example.com\"",
        ),
    ];
    for (name, problem) in unable {
        let message = scene.wait_for_condition(name, "AbleToScale", "False", "FailedGetScale");
        assert!(message.ends_with(problem), "{name}: {message}");
        scene.wait_for_event(name, "FailedGetScale", problem);
    }
    let message = scene.wait_for_condition("blind", "ScalingActive", "False", "InvalidSelector");
    assert!(message.contains("missing a selector"), "{message}");
    scene.wait_for_event("blind", "SelectorRequired", "selector is required");
    assert_eq!(scene.field("blinds/one", ".spec.size"), "2");
    assert_eq!(scene.field("rigids/one", ".spec.size"), "2");

    // What comes later is found.
    scene.create(
        "Gizmo",
        &scale,
        &json!({ "size": 2, "selector": "app=gizmo" }),
    );
    wait_for("the gizmo to grow", crate::support::PATIENCE, || {
        scene.field("gizmos/one", ".spec.size") == "4"
    });
}

#[test]
fn an_object_that_cannot_be_read_is_told_its_field_and_disturbs_no_other() {
    let scene = Scene::new();
    let metrics = scene.with_queue(40);
    scene.deploy("web", 2);
    scene.deploy("old", 2);
    // Stored under a schema that lets it pass.
    scene.loosen_schema();
    let spec = |max: Value| {
        json!({
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "old" },
            "maxReplicas": max,
            "metrics": [queue()],
        })
    };
    let unreadable = autoscaler("old", &spec(json!("many")));
    wait_for("the schema to be loose", crate::support::PATIENCE, || {
        scene.cluster.apply(&unreadable).is_ok()
    });
    scene.autoscale("web", &queue(), &json!({}));
    let daemon = scene.daemon(&[]);

    scene.wait_for_replicas("web", 4);
    let message = scene.wait_for_condition("old", "ScalingActive", "False", "InvalidSpec");
    let problem = "the spec can't be read: spec.maxReplicas: invalid type: string \"many\"";
    assert!(message.contains(problem), "{message}");
    scene.wait_for_event("old", "InvalidSpec", problem);
    let told = [("object", "default/old"), ("reason", "spec.maxReplicas")];
    assert!(daemon.logged(&told));

    // Under the right schema the API server takes not even its status: no reason
    // to write it again and again, nor to leave others alone.
    scene.install_crd();
    metrics.set_external("queue", &[json!("60")]);
    scene.wait_for_replicas("web", 6);
    let refused = [("name", "old"), ("message", "the status was not written")];
    assert!(!daemon.logged(&refused));
    assert_eq!(scene.replicas("old"), "2");

    scene.apply(&autoscaler("old", &spec(json!(9))));
    scene.wait_for_replicas("old", 6);
    scene.wait_for_condition("old", "ScalingActive", "True", "ValidMetricFound");
}

#[test]
fn a_target_with_two_writers_is_scaled_by_neither_and_may_be_observed() {
    let scene = Scene::new();
    let _metrics = scene.with_queue(40);
    for name in ["web", "api", "free"] {
        scene.deploy(name, 2);
        scene.autoscale(name, &queue(), &json!({}));
    }
    let second = |mode: &str| {
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
        let spec = json!({
            "scaleTargetRef": target,
            "maxReplicas": 20,
            "metrics": [queue()],
            "mode": mode,
        });
        autoscaler("second", &spec)
    };
    scene.apply(&second("Active"));
    let legacy = ["autoscale", "deployment", "api", "--name=legacy", "--max=3"];
    scene.cluster.kubectl(&legacy).unwrap();
    let daemon = scene.daemon(&[]);

    scene.wait_for_replicas("free", 4);
    for (name, problem) in [
        ("web", "autoscaler default/second has the same target"),
        ("second", "autoscaler default/web has the same target"),
        (
            "api",
            "Deployment api is scaled by HorizontalPodAutoscaler legacy too",
        ),
    ] {
        let message = scene.wait_for_condition(name, "ScalingActive", "False", "AmbiguousTarget");
        assert!(message.contains(problem), "{name}: {message}");
        scene.wait_for_event(name, "AmbiguousTarget", problem);
        assert!(scene.events(name, "SuccessfulRescale").is_empty(), "{name}");
    }
    assert_eq!([scene.replicas("web"), scene.replicas("api")], ["2", "2"]);

    // One of the two steps back: it goes on deciding, and the other one scales.
    scene.apply(&second("Observe"));
    scene.autoscale("api", &queue(), &json!({ "mode": "Observe" }));
    scene.wait_for_replicas("web", 4);
    for name in ["second", "api"] {
        scene.wait_for_condition(name, "ScalingActive", "True", "ValidMetricFound");
        assert!(scene.events(name, "SuccessfulRescale").is_empty(), "{name}");
    }
    daemon.wait_for("what would be done beside the other", |daemon| {
        let record = daemon.last_record("default/api").unwrap_or_default();
        record["outcome"] == "observed" && record["verdict"]["to"] == 4
    });
    assert_eq!(scene.replicas("api"), "2");

    scene.cluster.kubectl(&["delete", "hpa", "legacy"]).unwrap();
    scene.autoscale("api", &queue(), &json!({}));
    scene.wait_for_replicas("api", 4);
}

impl Scene {
    /// Lets any spec of an autoscaler pass.
    fn loosen_schema(&self) {
        let definition = "crd/replicaautoscalers.flyball.dev";
        let crd = self.cluster.kubectl(&["get", definition, "-o", "json"]);
        let mut crd: Value = serde_json::from_str(&crd.unwrap()).unwrap();
        let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = anything;
        let metadata = json!({ "name": crd["metadata"]["name"] });
        crd["metadata"] = metadata;
        self.apply(&crd.to_string());
    }
}
