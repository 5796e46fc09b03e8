//! Targets: any kind with a scale subresource, and no other; and objects that can't be
//! read.

use serde_json::{Value, json};

use crate::support::wait_for;
use crate::test_cluster::{TestCluster, autoscaler, queue};

/// A kind of the group `example.com`, with its scale subresource.
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

impl TestCluster {
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
        wait_for(name, crate::support::WAIT_TIMEOUT, || {
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
    let test_cluster = TestCluster::new();
    let _metrics = test_cluster.with_queue(40);
    let scale = json!({
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.selector",
    });
    test_cluster.create(
        "Gadget",
        &scale,
        &json!({ "size": 2, "selector": "app=gadget" }),
    );
    let mut blind = scale.clone();
    blind.as_object_mut().unwrap().remove("labelSelectorPath");
    test_cluster.create("Blind", &blind, &json!({ "size": 2 }));
    test_cluster.create("Rigid", &Value::Null, &json!({ "size": 2 }));
    test_cluster.autoscale_kind("gadget", "Gadget", "one");
    test_cluster.autoscale_kind("blind", "Blind", "one");
    test_cluster.autoscale_kind("rigid", "Rigid", "one");
    test_cluster.autoscale_kind("missing", "Gadget", "two");
    test_cluster.autoscale_kind("unheard-of", "Gizmo", "one");
    let _daemon = test_cluster.daemon(&[]);

    wait_for("the gadget to grow", crate::support::WAIT_TIMEOUT, || {
        test_cluster.field("gadgets/one", ".spec.size") == "4"
    });
    test_cluster.wait_for_event("gadget", "SuccessfulRescale", "New size: 4");

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
        let message =
            test_cluster.wait_for_condition(name, "AbleToScale", "False", "FailedGetScale");
        assert!(message.ends_with(problem), "{name}: {message}");
        test_cluster.wait_for_event(name, "FailedGetScale", problem);
    }
    let message =
        test_cluster.wait_for_condition("blind", "ScalingActive", "False", "InvalidSelector");
    assert!(message.contains("missing a selector"), "{message}");
    test_cluster.wait_for_event("blind", "SelectorRequired", "selector is required");
    assert_eq!(test_cluster.field("blinds/one", ".spec.size"), "2");
    assert_eq!(test_cluster.field("rigids/one", ".spec.size"), "2");

    // Kinds that are created later are found.
    test_cluster.create(
        "Gizmo",
        &scale,
        &json!({ "size": 2, "selector": "app=gizmo" }),
    );
    wait_for("the gizmo to grow", crate::support::WAIT_TIMEOUT, || {
        test_cluster.field("gizmos/one", ".spec.size") == "4"
    });
}

#[test]
fn an_object_that_cannot_be_read_is_told_its_field_and_disturbs_no_other() {
    let test_cluster = TestCluster::new();
    let metrics = test_cluster.with_queue(40);
    test_cluster.deploy("web", 2);
    test_cluster.deploy("old", 2);
    // Created under a schema that accepts it.
    test_cluster.loosen_schema();
    let spec = |max: Value| {
        json!({
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "old" },
            "maxReplicas": max,
            "metrics": [queue()],
        })
    };
    let unreadable = autoscaler("old", &spec(json!("many")));
    wait_for(
        "the schema to be loose",
        crate::support::WAIT_TIMEOUT,
        || test_cluster.cluster.apply(&unreadable).is_ok(),
    );
    test_cluster.autoscale("web", &queue(), &json!({}));
    let daemon = test_cluster.daemon(&[]);

    test_cluster.wait_for_replicas("web", 4);
    let message = test_cluster.wait_for_condition("old", "ScalingActive", "False", "InvalidSpec");
    let problem = "the spec can't be read: spec.maxReplicas: invalid type: string \"many\"";
    assert!(message.contains(problem), "{message}");
    test_cluster.wait_for_event("old", "InvalidSpec", problem);
    let expected = [("object", "default/old"), ("message", "spec.maxReplicas")];
    assert!(daemon.logged(&expected));

    // Under the right schema the API server does not even accept its status. The daemon
    // must not retry the write all the time, nor neglect other objects.
    test_cluster.install_crd();
    metrics.set_external("queue", &[json!("60")]);
    test_cluster.wait_for_replicas("web", 6);
    let refused = [("name", "old"), ("message", "the status was not written")];
    assert!(!daemon.logged(&refused));
    assert_eq!(test_cluster.replicas("old"), "2");

    test_cluster.apply(&autoscaler("old", &spec(json!(9))));
    test_cluster.wait_for_replicas("old", 6);
    test_cluster.wait_for_condition("old", "ScalingActive", "True", "ValidMetricFound");
}

#[test]
fn a_target_with_two_writers_is_scaled_by_neither_and_may_be_observed() {
    let test_cluster = TestCluster::new();
    let _metrics = test_cluster.with_queue(40);
    for name in ["web", "api", "free"] {
        test_cluster.deploy(name, 2);
        test_cluster.autoscale(name, &queue(), &json!({}));
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
    test_cluster.apply(&second("Active"));
    let legacy = ["autoscale", "deployment", "api", "--name=legacy", "--max=3"];
    test_cluster.cluster.kubectl(&legacy).unwrap();
    let daemon = test_cluster.daemon(&[]);

    test_cluster.wait_for_replicas("free", 4);
    for (name, problem) in [
        ("web", "autoscaler default/second has the same target"),
        ("second", "autoscaler default/web has the same target"),
        (
            "api",
            "Deployment api is scaled by HorizontalPodAutoscaler legacy too",
        ),
    ] {
        let message =
            test_cluster.wait_for_condition(name, "ScalingActive", "False", "AmbiguousTarget");
        assert!(message.contains(problem), "{name}: {message}");
        test_cluster.wait_for_event(name, "AmbiguousTarget", problem);
        assert!(
            test_cluster.events(name, "SuccessfulRescale").is_empty(),
            "{name}"
        );
    }
    assert_eq!(
        [test_cluster.replicas("web"), test_cluster.replicas("api")],
        ["2", "2"]
    );

    // One of the two withdraws: it goes on deciding, and the other one scales.
    test_cluster.apply(&second("Observe"));
    test_cluster.autoscale("api", &queue(), &json!({ "mode": "Observe" }));
    test_cluster.wait_for_replicas("web", 4);
    for name in ["second", "api"] {
        test_cluster.wait_for_condition(name, "ScalingActive", "True", "ValidMetricFound");
        assert!(
            test_cluster.events(name, "SuccessfulRescale").is_empty(),
            "{name}"
        );
    }
    daemon.wait_for("what would be done beside the other", |daemon| {
        let record = daemon.last_record("default/api").unwrap_or_default();
        record["outcome"] == "observed" && record["verdict"]["to"] == 4
    });
    assert_eq!(test_cluster.replicas("api"), "2");

    test_cluster
        .cluster
        .kubectl(&["delete", "hpa", "legacy"])
        .unwrap();
    test_cluster.autoscale("api", &queue(), &json!({}));
    test_cluster.wait_for_replicas("api", 4);
}
