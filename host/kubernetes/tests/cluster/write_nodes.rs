//! Changes of nodes, evictions and the status ConfigMap, which only the leader writes.

use std::time::{Duration, Instant};

use flyball_decision::event::Event;
use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_kubernetes::{
    ConnectOptions, KubernetesNodesWriter, Leadership, connect_without_retries,
};
use flyball_nodes::ports::{
    DrainMark, EvictError, Eviction, NodeChange, NodeEvent, NodesWriter as _, StatusDocument,
    Subject, TaintChange, WriteError,
};
use flyball_test_support::{Cluster, ClusterOptions, wait_for};
use futures::future::{join, join_all};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::fixture::{DEPLOYMENT, MINUTE};

const NOW: Timestamp = Timestamp(1_767_225_600_000);
const OURS: &str = "ToBeDeletedByClusterAutoscaler";
const CORDON: &str = "flyball.dev/cordoned";

/// A writer on a cluster. It leads until the test takes the lease away.
struct Writer {
    cluster: Cluster,
    runtime: Runtime,
    writer: KubernetesNodesWriter,
    lead: watch::Sender<Option<tokio::time::Instant>>,
}

fn in_ten_minutes() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(600)
}

impl Writer {
    fn start() -> Self {
        let cluster = Cluster::start(ClusterOptions::default()).unwrap();
        let runtime = Runtime::new().unwrap();
        let options = ConnectOptions {
            kubeconfig: Some(cluster.kubeconfig()),
            ..Default::default()
        };
        let client = runtime.block_on(connect_without_retries(&options)).unwrap();
        let (lead, until) = watch::channel(Some(in_ten_minutes()));
        let namespace = "kube-system".to_owned();
        let writer =
            KubernetesNodesWriter::new(client.clone(), client, namespace, Leadership::until(until));
        Self {
            cluster,
            runtime,
            writer,
            lead,
        }
    }

    fn json(&self, args: &[&str]) -> Value {
        let text = self.cluster.kubectl(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&text.unwrap()).unwrap()
    }

    fn node(&self) -> Value {
        self.json(&["get", "node", "node-0"])
    }

    /// Returns the keys of the node's taints, without Kubernetes' own.
    fn taints(&self) -> Vec<String> {
        let node = self.node();
        let taints = node["spec"]["taints"].as_array().cloned();
        let keys = taints.unwrap_or_default().into_iter();
        let keys = keys.map(|taint| taint["key"].as_str().unwrap().to_owned());
        let mut keys: Vec<_> = keys
            .filter(|key| !key.starts_with("node.kubernetes.io/"))
            .collect();
        keys.sort();
        keys
    }

    fn update(&self, change: &NodeChange) -> Result<(), WriteError> {
        let written = self.writer.update_node(NOW, change.clone());
        self.runtime.block_on(written)
    }

    fn evict(&self, pod: &str, uid: &str) -> Result<(), EvictError> {
        let eviction = Eviction {
            key: ObjectKey {
                namespace: "default".into(),
                name: pod.into(),
            },
            uid: uid.into(),
            grace_seconds: Some(1),
        };
        self.runtime.block_on(self.writer.evict(NOW, eviction))
    }

    /// Returns name and uid of each running pod that is not being deleted.
    fn pods(&self) -> Vec<(String, String)> {
        let list = self.json(&["get", "pods"]);
        let pods = list["items"].as_array().unwrap().iter();
        let runs = |pod: &&Value| {
            pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
        };
        let text = |pod: &Value, field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
        pods.filter(runs)
            .map(|pod| (text(pod, "name"), text(pod, "uid")))
            .collect()
    }

    fn two_pods(&self) -> Vec<(String, String)> {
        wait_for("two pods", MINUTE, || {
            Ok(Some(self.pods()).filter(|pods| pods.len() == 2))
        })
        .unwrap()
    }

    /// Returns how many patches of nodes the API server has refused as conflicts.
    fn conflicts(&self) -> f64 {
        let metrics = self.cluster.kubectl(&["get", "--raw", "/metrics"]).unwrap();
        let lines = metrics.lines().filter(|line| {
            line.starts_with("apiserver_request_total{")
                && ["code=\"409\"", "resource=\"nodes\"", "verb=\"PATCH\""]
                    .iter()
                    .all(|label| line.contains(label))
        });
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

fn taint(key: &str, value: &str) -> TaintChange {
    TaintChange {
        key: key.into(),
        value: value.into(),
        effect: "NoSchedule".into(),
    }
}

fn tainted(key: &str) -> NodeChange {
    NodeChange {
        name: "node-0".into(),
        add_taints: vec![taint(key, "1")],
        ..NodeChange::default()
    }
}

#[test]
fn changes_of_a_node_keep_what_others_change() {
    let writer = Writer::start();
    writer.cluster.create_node("node-0").unwrap();
    let uid = writer.node()["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let marked = NodeChange {
        uid: Some(uid.as_str().into()),
        unschedulable: Some(true),
        annotations: vec![(CORDON.into(), Some("true".into()))],
        ..tainted(OURS)
    };
    assert_eq!(writer.update(&marked), Ok(()));
    let node = writer.node();
    assert_eq!(node["spec"]["unschedulable"], true);
    assert_eq!(node["metadata"]["annotations"][CORDON], "true");
    assert_eq!(writer.taints(), [OURS]);

    // Others add taints between each read and patch of ours.
    let mut expected = vec![OURS.to_owned()];
    wait_for("a conflict", MINUTE, || {
        let round = expected.len();
        let keys: Vec<String> = (0..4).map(|i| format!("other-{round}-{i}")).collect();
        let updates = keys.iter().map(|key| {
            let change = tainted(key);
            writer.writer.update_node(NOW, change)
        });
        let written = writer.runtime.block_on(join_all(updates));
        assert_eq!(written, [Ok(()), Ok(()), Ok(()), Ok(())]);
        expected.extend(keys);
        Ok((writer.conflicts() > 0.0).then_some(()))
    })
    .unwrap();
    expected.sort();
    assert_eq!(writer.taints(), expected);

    let back = NodeChange {
        name: "node-0".into(),
        remove_taints: vec![OURS.into(), "absent".into()],
        unschedulable: Some(false),
        annotations: vec![(CORDON.into(), None)],
        ..NodeChange::default()
    };
    assert_eq!(writer.update(&back), Ok(()));
    expected.retain(|key| key != OURS);
    assert_eq!(writer.taints(), expected);
    let node = writer.node();
    assert_eq!(node["spec"]["unschedulable"], Value::Null);
    assert_eq!(node["metadata"]["annotations"][CORDON], Value::Null);
}

#[test]
fn a_mark_says_whose_cordon_it_is_whoever_is_faster() {
    let writer = Writer::start();
    writer.cluster.create_node("node-0").unwrap();
    let options = ConnectOptions {
        kubeconfig: Some(writer.cluster.kubeconfig()),
        ..Default::default()
    };
    let client = writer.runtime.block_on(connect_without_retries(&options));
    let nodes: Api<Node> = Api::all(client.unwrap());
    let mark = |drain_mark| NodeChange {
        name: "node-0".into(),
        drain_mark: Some(drain_mark),
        ..NodeChange::default()
    };
    let cordon = Patch::Merge(json!({ "spec": { "unschedulable": true } }));
    let by_admin = PatchParams {
        field_manager: Some("admin".to_owned()),
        ..PatchParams::default()
    };
    let mut theirs = 0;
    wait_for("a conflict", MINUTE, || {
        let (marked, cordoned) = writer.runtime.block_on(join(
            writer
                .writer
                .update_node(NOW, mark(DrainMark::Set { cordon: true })),
            nodes.patch("node-0", &by_admin, &cordon),
        ));
        assert_eq!(marked, Ok(()));
        cordoned.unwrap();
        // A write that changes nothing does not take over a field.
        let node = writer.json(&["get", "node", "node-0", "--show-managed-fields"]);
        let mut managers = node["metadata"]["managedFields"].as_array().unwrap().iter();
        let cordons = |entry: &&Value| {
            let spec = &entry["fieldsV1"]["f:spec"];
            spec.get("f:unschedulable").is_some()
        };
        let is_admins = managers.find(cordons).unwrap()["manager"] == "admin";
        let annotation = &node["metadata"]["annotations"][DrainMark::ANNOTATION];
        assert_eq!(annotation, if is_admins { "tainted" } else { "cordoned" });

        assert_eq!(writer.update(&mark(DrainMark::Remove)), Ok(()));
        let node = writer.node();
        let is_cordoned = node["spec"]["unschedulable"] == true;
        assert_eq!(is_cordoned, is_admins, "{node}");
        let annotation = &node["metadata"]["annotations"][DrainMark::ANNOTATION];
        assert_eq!(annotation, &Value::Null);
        theirs += u32::from(is_admins);
        let uncordoned = NodeChange {
            name: "node-0".into(),
            unschedulable: Some(false),
            ..NodeChange::default()
        };
        assert_eq!(writer.update(&uncordoned), Ok(()));
        Ok((writer.conflicts() > 0.0 && theirs > 0).then_some(()))
    })
    .unwrap();
    // Written alone, the cordon is ours, also if the answer to the first try was lost.
    for _ in 0..2 {
        let set = mark(DrainMark::Set { cordon: true });
        assert_eq!(writer.update(&set), Ok(()));
        let node = writer.node();
        assert_eq!(node["spec"]["unschedulable"], true);
        assert_eq!(
            node["metadata"]["annotations"][DrainMark::ANNOTATION],
            "cordoned"
        );
    }
    assert_eq!(writer.update(&mark(DrainMark::Remove)), Ok(()));
    assert_eq!(writer.node()["spec"]["unschedulable"], Value::Null);
}

#[test]
fn another_node_of_the_same_name_is_left_alone_and_so_is_all_without_the_lease() {
    let writer = Writer::start();
    writer.cluster.create_node("node-0").unwrap();
    let uid = writer.node()["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = NodeChange {
        uid: Some("another".into()),
        ..tainted(OURS)
    };
    let missing = NodeChange {
        name: "missing".into(),
        ..tainted(OURS)
    };
    assert_eq!(writer.update(&other), Err(WriteError::Gone));
    assert_eq!(writer.update(&missing), Err(WriteError::Gone));
    let delete = |uid: &str| {
        let deleted = writer.writer.delete_node(NOW, "node-0", uid);
        writer.runtime.block_on(deleted)
    };
    assert_eq!(delete("another"), Err(WriteError::Gone));

    let event = |reason: &str| NodeEvent {
        about: Subject::Node {
            name: "node-0".into(),
            uid: uid.as_str().into(),
        },
        event: Event {
            warning: false,
            reason: reason.to_owned(),
            message: "marked the node as toBeDeleted/unschedulable".to_owned(),
        },
    };
    let publish = |reason| {
        let published = writer.writer.publish(NOW, vec![event(reason)]);
        writer.runtime.block_on(published);
    };
    publish("ScaleDown");

    writer.lead.send(None).unwrap();
    publish("ScaleDownFailed");
    assert_eq!(writer.update(&tainted(OURS)), Err(WriteError::NotLeader));
    assert_eq!(delete(&uid), Err(WriteError::NotLeader));
    assert_eq!(writer.evict("any", "uid"), Err(EvictError::NotLeader));
    let status = writer.writer.write_status(NOW, StatusDocument::default());
    let status = writer.runtime.block_on(status);
    assert_eq!(status, Err(WriteError::NotLeader));
    assert_eq!(writer.taints(), Vec::<String>::new());
    let described = writer.cluster.kubectl(&["describe", "node", "node-0"]);
    let described = described.unwrap();
    let marked = "marked the node as toBeDeleted/unschedulable";
    assert!(described.contains(marked), "{described}");
    assert!(!described.contains("ScaleDownFailed"), "{described}");

    writer.lead.send(Some(in_ten_minutes())).unwrap();
    assert_eq!(delete(&uid), Ok(()));
    assert_eq!(delete(&uid), Err(WriteError::Gone));
}

fn budget(name: &str, min_available: u32) -> String {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": { "name": name },
        "spec": {
            "minAvailable": min_available,
            "selector": { "matchLabels": { "app": "web" } },
        },
    })
    .to_string()
}

#[test]
fn an_eviction_is_done_or_says_why_it_waits() {
    let writer = Writer::start();
    writer.cluster.create_node("node-0").unwrap();
    writer.cluster.apply(DEPLOYMENT).unwrap();
    let pods = writer.two_pods();
    let (pod, uid) = &pods[0];
    // Before there is a budget: the API server would take this from it.
    assert_eq!(writer.evict(pod, "another"), Err(EvictError::Gone));
    assert!(writer.pods().contains(&pods[0]), "it has another uid");
    assert_eq!(writer.evict("missing", uid), Err(EvictError::Gone));

    writer.cluster.apply(&budget("web", 2)).unwrap();
    let allowed = |count: i64| {
        wait_for("the budget", MINUTE, || {
            let status = &writer.json(&["get", "pdb", "web"])["status"];
            let is_current = status["currentHealthy"] == 2;
            Ok((is_current && status["disruptionsAllowed"] == count).then_some(()))
        })
        .unwrap();
    };
    allowed(0);
    let asked = Instant::now();
    let blocked = writer.evict(pod, uid);
    let Err(EvictError::Blocked {
        message,
        budget: by,
    }) = &blocked
    else {
        panic!("{blocked:?}");
    };
    assert_eq!(by.as_deref(), Some("web"));
    let begin = format!("eviction of pod default/{pod}: Cannot evict pod");
    assert!(message.starts_with(&begin), "{message}");
    // The client would try again for ten seconds if it were that of the reads.
    assert!(asked.elapsed() < Duration::from_secs(5));

    writer.cluster.apply(&budget("web", 1)).unwrap();
    allowed(1);
    assert_eq!(writer.evict(pod, uid), Ok(()));
    let gone = || Ok((!writer.pods().contains(&pods[0])).then_some(()));
    wait_for("the pod to go", MINUTE, gone).unwrap();

    writer.cluster.apply(&budget("second", 1)).unwrap();
    let (pod, uid) = &writer.two_pods()[0];
    let several = wait_for("both budgets", MINUTE, || {
        let evicted = writer.evict(pod, uid);
        let is_blocked = matches!(evicted, Err(EvictError::Blocked { .. }));
        Ok((!is_blocked).then_some(evicted))
    })
    .unwrap();
    let Err(EvictError::SeveralBudgets { message }) = several else {
        panic!("{several:?}");
    };
    assert!(message.contains(pod), "{message}");
}

#[test]
fn the_status_is_written_beside_what_others_keep_in_its_config_map() {
    let writer = Writer::start();
    let read = || {
        writer
            .runtime
            .block_on(writer.writer.read_status())
            .unwrap()
    };
    assert_eq!(read(), None);
    let status = |text: &str, at: &str| StatusDocument {
        text: text.into(),
        annotations: [(StatusDocument::LAST_UPDATED.into(), at.into())].into(),
    };
    let write = |status: &StatusDocument| {
        let written = writer.writer.write_status(NOW, status.clone());
        writer.runtime.block_on(written)
    };
    let first = status(
        "autoscalerStatus: Initializing\n",
        "2026-11-28 04:28:19 +0000 UTC",
    );
    assert_eq!(write(&first), Ok(()));
    assert_eq!(read(), Some(first));
    let map = ["-n", "kube-system", "configmap/cluster-autoscaler-status"];
    let annotate = [&["annotate"], &map[..], &["example.com/note=x"]].concat();
    writer.cluster.kubectl(&annotate).unwrap();
    let data = r#"{"data":{"theirs":"y"}}"#;
    let patch = [&["patch"], &map[..], &["--type=merge", "-p", data]].concat();
    writer.cluster.kubectl(&patch).unwrap();

    let mut second = status(
        "autoscalerStatus: Running\n",
        "2026-11-28 04:33:19 +0000 UTC",
    );
    assert_eq!(write(&second), Ok(()));
    second
        .annotations
        .insert("example.com/note".into(), "x".into());
    assert_eq!(read(), Some(second));
    let known = writer.json(&[&["get"], &map[..]].concat());
    assert_eq!(known["data"]["theirs"], "y");
}
