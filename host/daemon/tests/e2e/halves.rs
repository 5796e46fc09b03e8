//! Both halves of the daemon together, on a real control plane and an AWS simulated by
//! moto.

use std::time::{Duration, SystemTime};

use flyball_test_support::Aws;
use flyball_tests::guests;
use serde_json::json;

use crate::proxy::Proxy;
use crate::support::{Daemon, wait_for};
use crate::test_cluster::TestCluster;

/// A pod that fits on no node of the cluster.
const LARGE: &str = "
apiVersion: v1
kind: Pod
metadata: {name: large}
spec:
  containers: [{name: main, image: x, resources: {requests: {cpu: 40}}}]
";

/// Takes at least seconds on any machine.
const BUDGET: &str = "--policy-budget=endless=fuel-base:200000000000";

#[test]
fn a_plan_that_takes_long_keeps_no_replica_decision_waiting() {
    let test_cluster = TestCluster::new();
    let aws = Aws::start().unwrap();
    let resources = "k8s.io/cluster-autoscaler/node-template/resources";
    let (cpu, memory) = (
        format!("{resources}/cpu=64"),
        format!("{resources}/memory=256Gi"),
    );
    aws.create_group("group-a", (0, 0, 4), &["flyball=yes", &cpu, &memory])
        .unwrap();
    let endless = &guests::components("expanders").unwrap()["endless"];
    test_cluster.workshop.write("drop/endless.wasm", endless);
    // Without a metrics API every sync leaves a record.
    test_cluster.deploy("web", 1);
    let target = json!({ "type": "Utilization", "averageUtilization": 50 });
    let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
    test_cluster.autoscale("web", &metric, &json!({}));
    test_cluster.apply(LARGE);

    let kubeconfig = test_cluster.cluster.kubeconfig();
    let mut command = test_cluster.workshop.command(&[
        "run",
        "--http=127.0.0.1:0",
        "--log-format=json",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
        "--policies-dir=drop",
        "--horizontal-pod-autoscaler-sync-period=1s",
        "--scan-interval=1s",
        "--node-group-auto-discovery=asg:tag=flyball",
        "--expander=endless",
        BUDGET,
    ]);
    command.envs(aws.environment());
    let daemon = Daemon::spawn(command);
    daemon.wait_until_ready();

    let mut planned = None;
    wait_for("the plan to end", Duration::from_secs(180), || {
        let records = daemon.node_records();
        let asked = records.iter().find(|record| record["rounds"] != json!([]));
        planned = asked.cloned();
        planned.is_some()
    });
    let ended = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ended = i64::try_from(ended.unwrap().as_millis()).unwrap();
    let planned = planned.unwrap();
    assert_eq!(planned["verdict"]["reason"], "PolicyOutOfFuel", "{planned}");
    let began = planned["at"].as_i64().unwrap();
    let decided = daemon.records("default/web").into_iter();
    let meanwhile = decided.filter(|record| {
        let at = record["at"].as_i64().unwrap();
        began < at && at < ended
    });
    let (meanwhile, seconds) = (meanwhile.count(), (ended - began) / 1000);
    assert!(
        meanwhile >= 3,
        "{meanwhile} decisions about replicas in the {seconds} s of a plan"
    );
}

#[test]
fn both_halves_share_one_watch_of_pods_and_a_stop_releases_the_lease() {
    let test_cluster = TestCluster::new();
    let aws = Aws::start().unwrap();
    aws.create_group("group-a", (0, 0, 4), &["flyball=yes"])
        .unwrap();
    test_cluster.deploy("web", 1);
    let target = json!({ "type": "Utilization", "averageUtilization": 50 });
    let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
    test_cluster.autoscale("web", &metric, &json!({}));
    test_cluster.apply(LARGE);
    let proxy = Proxy::start(&test_cluster.cluster);
    let kubeconfig = proxy.kubeconfig(&test_cluster.workshop);
    let start = |controllers: &str| {
        let mut command = test_cluster.workshop.command(&[
            "run",
            "--http=127.0.0.1:0",
            "--log-format=json",
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--horizontal-pod-autoscaler-sync-period=1s",
            "--scan-interval=1s",
            "--node-group-auto-discovery=asg:tag=flyball",
            "--leader-elect",
            controllers,
        ]);
        command.envs(aws.environment());
        let daemon = Daemon::spawn(command);
        daemon.wait_until_ready();
        daemon
    };
    let holder = || {
        let lease = ["get", "lease", "flyball", "-n", "kube-system"];
        let path = ["-o", "jsonpath={.spec.holderIdentity}"];
        test_cluster
            .cluster
            .kubectl(&[&lease[..], &path].concat())
            .unwrap()
    };

    for (controllers, replicas, nodes) in [
        ("--controllers=replicas,nodes", true, true),
        ("--controllers=replicas", true, false),
        ("--controllers=nodes", false, true),
    ] {
        proxy.hold("nothing");
        let mut daemon = start(controllers);
        // Both see the pods.
        wait_for("the halves to work", Duration::from_secs(60), || {
            let sees_web = |record: serde_json::Value| record.to_string().contains("web-");
            let replicas = !replicas || daemon.last_record("default/web").is_some_and(sees_web);
            let sees_large = |record: &serde_json::Value| record.to_string().contains("large");
            let nodes = !nodes || daemon.node_records().iter().any(sees_large);
            replicas && nodes
        });
        let pods = proxy.requests("GET /api/v1/pods?");
        assert_eq!(pods.len(), 1, "{controllers}: {pods:?}");
        assert_eq!(proxy.saw("GET /api/v1/nodes?"), nodes, "{controllers}");
        let autoscalers = proxy.saw("/replicaautoscalers?");
        assert_eq!(autoscalers, replicas, "{controllers}");
        assert_ne!(holder(), "", "{controllers}");
        assert_eq!(daemon.terminate(), Some(0));
        assert_eq!(holder(), "", "{controllers}: the next need not wait");
    }
}
