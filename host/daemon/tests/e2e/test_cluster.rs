//! A real control plane with the custom resource, and a folder for the daemon.

use flyball_test_support::{Cluster, ClusterOptions};
use serde_json::{Value, json};

use crate::metrics_apis::MetricsApis;
use crate::support::{Daemon, WAIT_TIMEOUT, Workshop, wait_for};

/// A control plane that the daemon can work on.
pub struct TestCluster {
    pub cluster: Cluster,
    pub workshop: Workshop,
}

/// A condition of an autoscaler.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub status: String,
    pub reason: String,
    pub message: String,
}

impl TestCluster {
    pub fn new() -> Self {
        let workshop = Workshop::new();
        let cluster = Cluster::start(ClusterOptions::default()).unwrap();
        let test_cluster = Self { cluster, workshop };
        test_cluster.install_crd();
        std::fs::create_dir(test_cluster.workshop.path("drop")).unwrap();
        test_cluster
    }

    /// Applies the custom resource definition, also after its removal.
    pub fn install_crd(&self) {
        self.apply(&self.workshop.succeed(&["crd"]));
        // Established does not mean served: discovery follows a moment later.
        wait_for("the custom resource to be served", WAIT_TIMEOUT, || {
            self.cluster.kubectl(&["get", "ra", "-o", "name"]).is_ok()
        });
    }

    /// Starts the daemon, which decides about each object every second.
    pub fn daemon(&self, args: &[&str]) -> Daemon {
        let kubeconfig = self.cluster.kubeconfig();
        self.daemon_with(kubeconfig.to_str().unwrap(), args)
    }

    /// Starts the daemon with another kubeconfig; it need not become ready.
    pub fn daemon_with(&self, kubeconfig: &str, args: &[&str]) -> Daemon {
        let usual = [
            "--kubeconfig",
            kubeconfig,
            "--policies-dir",
            "drop",
            "--horizontal-pod-autoscaler-sync-period=1s",
        ];
        Daemon::start(&self.workshop, &[&usual[..], args].concat())
    }

    pub fn apply(&self, manifest: &str) {
        self.cluster.apply(manifest).unwrap();
    }

    /// Applies objects, in their order.
    pub fn apply_all(&self, objects: &[Value]) {
        self.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string());
    }

    /// Creates a Deployment with this number of replicas, whose pods have the label
    /// app=NAME. They run if there is a node.
    pub fn deploy(&self, name: &str, replicas: u32) {
        let labels = json!({ "app": name });
        let spec = json!({ "containers": [{ "name": "web", "image": "web" }] });
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": name },
            "spec": {
                "replicas": replicas,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": spec },
            },
        });
        self.apply(&deployment.to_string());
        wait_for("the Deployment's pods", WAIT_TIMEOUT, || {
            self.field(&format!("deployment/{name}"), ".status.replicas") == replicas.to_string()
        });
    }

    /// Creates an autoscaler for the Deployment of its name, up to 20 replicas; `more`
    /// has further fields of its spec.
    pub fn autoscale(&self, name: &str, metric: &Value, more: &Value) {
        let mut spec = json!({
            "scaleTargetRef": deployment(name),
            "maxReplicas": 20,
            "metrics": [metric],
        });
        let more = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut().unwrap().extend(more);
        self.apply(&autoscaler(name, &spec));
    }

    /// Returns a field of an object; empty if it does not exist.
    pub fn field(&self, object: &str, path: &str) -> String {
        let path = format!("jsonpath={{{path}}}");
        let field = self.cluster.kubectl(&["get", object, "-o", &path]);
        field.unwrap_or_default()
    }

    pub fn replicas(&self, deployment: &str) -> String {
        self.field(&format!("deployment/{deployment}"), ".spec.replicas")
    }

    #[track_caller]
    pub fn wait_for_replicas(&self, deployment: &str, replicas: u32) {
        wait_for(
            &format!("{replicas} replicas of {deployment}"),
            WAIT_TIMEOUT,
            || self.replicas(deployment) == replicas.to_string(),
        );
    }

    /// Returns a condition of an autoscaler; with empty texts if it does not exist.
    pub fn condition(&self, name: &str, kind: &str) -> Condition {
        let path = format!(".status.conditions[?(@.type==\"{kind}\")]");
        let text = self.field(&format!("ra/{name}"), &path);
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        Condition {
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
        }
    }

    /// Waits for a condition's status and reason. Returns its message.
    #[track_caller]
    pub fn wait_for_condition(&self, name: &str, kind: &str, status: &str, reason: &str) -> String {
        let mut seen = Condition::default();
        wait_for(
            &format!("{kind} {status} {reason} of {name}"),
            WAIT_TIMEOUT,
            || {
                seen = self.condition(name, kind);
                seen.status == status && seen.reason == reason
            },
        );
        seen.message
    }

    /// Returns the messages of an autoscaler's events with that reason.
    pub fn events(&self, name: &str, reason: &str) -> Vec<String> {
        let field = format!("involvedObject.name={name},reason={reason}");
        let events = ["get", "events", "--field-selector", &field, "-o", "json"];
        let events = self.cluster.kubectl(&events).unwrap();
        let events: Value = serde_json::from_str(&events).unwrap();
        let notes = events["items"].as_array().unwrap().iter();
        notes
            .map(|event| event["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Waits for an event on an autoscaler that contains the text.
    #[track_caller]
    pub fn wait_for_event(&self, name: &str, reason: &str, text: &str) {
        wait_for(
            &format!("event {reason} of {name} with {text:?}"),
            WAIT_TIMEOUT,
            || {
                self.events(name, reason)
                    .iter()
                    .any(|note| note.contains(text))
            },
        );
    }

    /// Accepts any spec of an autoscaler.
    pub fn loosen_schema(&self) {
        let definition = "crd/replicaautoscalers.flyball.dev";
        let crd = self.cluster.kubectl(&["get", definition, "-o", "json"]);
        let mut crd: Value = serde_json::from_str(&crd.unwrap()).unwrap();
        let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = anything;
        let metadata = json!({ "name": crd["metadata"]["name"] });
        crd["metadata"] = metadata;
        self.apply(&crd.to_string());
    }

    /// Starts the metrics APIs, with an external metric `queue` of that value.
    pub fn with_queue(&self, value: u32) -> MetricsApis {
        let apis = MetricsApis::serve(self);
        apis.set_external("queue", &[json!(value.to_string())]);
        apis
    }
}

/// Returns a `ReplicaAutoscaler`.
pub fn autoscaler(name: &str, spec: &Value) -> String {
    autoscaler_in("default", name, spec).to_string()
}

/// Returns a `ReplicaAutoscaler` of a namespace.
pub fn autoscaler_in(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "flyball.dev/v1alpha1",
        "kind": "ReplicaAutoscaler",
        "metadata": { "namespace": namespace, "name": name },
        "spec": spec,
    })
}

/// Returns the reference to a Deployment.
pub fn deployment(name: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name })
}

/// Returns a Deployment that wants three pods with the label app=APP, and creates none.
pub fn paused_deployment(namespace: &str, name: &str, app: &str) -> Value {
    let labels = json!({ "app": app });
    let pod = json!({ "containers": [{ "name": "web", "image": "web" }] });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "namespace": namespace, "name": name },
        "spec": {
            "paused": true,
            "replicas": 3,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod },
        },
    })
}

/// Returns the external metric `queue`, with a target of 10 per replica.
pub fn queue() -> Value {
    external("queue")
}

/// Returns an external metric with a target of 10 per replica.
pub fn external(name: &str) -> Value {
    let target = json!({ "type": "AverageValue", "averageValue": "10" });
    json!({ "type": "External", "external": { "metric": { "name": name }, "target": target } })
}
