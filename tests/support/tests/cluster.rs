//! Tests of the tests' control plane: pods are scheduled and run, metrics.k8s.io reports
//! the values of a pod's annotations, and nothing outlives the owner.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use flyball_test_support::{Cluster, ClusterOptions, processes_that_name, wait_for};
use serde_json::Value;

const MINUTE: Duration = Duration::from_secs(60);

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata:
      labels: { app: web }
      annotations: { kwok.x-k8s.io/usage-cpu: 400m }
    spec:
      containers:
      - name: web
        image: web
        resources: { requests: { cpu: 500m } }
"#;

#[test]
fn pods_run_and_report_the_cpu_that_their_annotation_says() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    let kubeconfig = cluster.kubeconfig();
    cluster.create_node("node-0").unwrap();
    cluster.apply(WEB).unwrap();
    cluster.apply(&WEB.replace("web", "api")).unwrap();
    for deployment in ["deployment/api", "deployment/web"] {
        cluster
            .kubectl(&["rollout", "status", deployment, "--timeout=60s"])
            .unwrap();
    }
    cluster.set_pod_cpu("default", "app=api", 100).unwrap();
    wait_for_cpu(
        &cluster,
        &[("api", 100), ("api", 100), ("web", 400), ("web", 400)],
    );

    let missing = cluster.set_pod_cpu("default", "app=other", 100);
    assert!(missing.unwrap_err().to_string().contains("app=other"));

    drop(cluster);
    assert!(!kubeconfig.exists());
    let folder = kubeconfig.parent().unwrap();
    assert_eq!(processes_that_name(folder), BTreeMap::new());
}

#[test]
fn the_api_server_goes_and_comes_back() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    let folder = cluster.kubeconfig().parent().unwrap().to_owned();
    cluster.create_node("node-0").unwrap();
    cluster.kill_apiserver().unwrap();
    assert!(cluster.kubectl(&["get", "nodes"]).is_err());
    assert!(cluster.kill_apiserver().is_err(), "there is none");
    let ended = end_without_reaping(&folder, "metrics-server");
    // Another cluster must not take its port meanwhile.
    let other = Cluster::start(ClusterOptions::default()).unwrap();
    cluster.start_apiserver().unwrap();
    drop((other, ended));
    let nodes = cluster.kubectl(&["get", "nodes", "-o", "name"]).unwrap();
    assert_eq!(nodes, "node/node-0\n");
    assert_ne!(pids(&folder, "metrics-server"), Vec::<String>::new());

    // The restarted one ends with the others.
    drop(cluster);
    assert_eq!(processes_that_name(&folder), BTreeMap::new());
}

#[test]
fn nothing_is_left_of_a_cluster_whose_owner_was_killed() {
    const TEST: &str = "nothing_is_left_of_a_cluster_whose_owner_was_killed";
    if Owner::is_this_process() {
        let _cluster = Cluster::start(ClusterOptions::default()).unwrap();
        println!("\n{READY}");
        sleep(10 * MINUTE);
        return;
    }
    let mut owner = Owner::start(TEST);
    let mut lines = BufReader::new(owner.process.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == READY));
    assert!(processes_that_name(owner.folder.path()).len() > 6);
    owner.kill_and_wait_for_the_end();
}

/// Kills the owner between any two steps of the start: before the first component runs,
/// while they start one by one, and before the end is reported.
#[test]
fn nothing_is_left_of_a_cluster_whose_owner_was_killed_while_it_started() {
    const TEST: &str = "nothing_is_left_of_a_cluster_whose_owner_was_killed_while_it_started";
    if Owner::is_this_process() {
        let _cluster = Cluster::start(ClusterOptions::default());
        return;
    }
    for first_seen in ["kwokctl", "etcd", "kube-apiserver", "kwok-controller"] {
        let owner = Owner::start(TEST);
        wait_for(first_seen, MINUTE, || {
            let processes = processes_that_name(owner.folder.path());
            Ok(processes
                .values()
                .any(|line| line.contains(first_seen))
                .then_some(()))
        })
        .unwrap();
        owner.kill_and_wait_for_the_end();
    }
}

const READY: &str = "the cluster is ready";

/// A process that owns a cluster: this test's binary, started again.
struct Owner {
    process: Child,
    /// Folder that contains only the cluster.
    folder: tempfile::TempDir,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Owner {
    const MARK: &str = "FLYBALL_TEST_OWNER";

    fn is_this_process() -> bool {
        std::env::var_os(Self::MARK).is_some()
    }

    fn start(test: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", test])
            .env(Self::MARK, "1")
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process, folder }
    }

    fn kill_and_wait_for_the_end(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        wait_for("the cluster to end", 3 * MINUTE, || {
            let folder_is_empty = self.folder.path().read_dir()?.next().is_none();
            let nothing_runs = processes_that_name(self.folder.path()).is_empty();
            Ok((folder_is_empty && nothing_runs).then_some(()))
        })
        .unwrap();
    }
}

/// Waits until the pods, ordered by app, use this many thousandths of a core, rounded to
/// tens: metrics-server takes the difference of two scrapes.
fn wait_for_cpu(cluster: &Cluster, expected: &[(&str, i64)]) {
    let path = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";
    wait_for("the pods' CPU", 3 * MINUTE, || {
        let list: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", path])?)?;
        let pods = list["items"].as_array().context("no list")?.iter();
        let mut usages = pods
            .map(|pod| {
                let usage = pod["containers"][0]["usage"]["cpu"].as_str();
                let app = pod["metadata"]["labels"]["app"]
                    .as_str()
                    .context("no app")?;
                Ok((app, (millis(usage.context("no usage")?)? + 5) / 10 * 10))
            })
            .collect::<anyhow::Result<Vec<(&str, i64)>>>()?;
        usages.sort_unstable();
        Ok((usages == expected).then_some(()))
    })
    .unwrap();
}

/// metrics-server prints nanocores, and `0` for none.
fn millis(quantity: &str) -> anyhow::Result<i64> {
    Ok(quantity.trim_end_matches('n').parse::<i64>()? / 1_000_000)
}

/// Ends a component, and leaves kwokctl a process in its place that has ended and that its
/// parent, this process, has not reaped.
fn end_without_reaping(folder: &Path, component: &str) -> Child {
    let pids = pids(folder, component);
    assert_ne!(pids, Vec::<String>::new(), "{component} does not run");
    let killed = Command::new("kill").arg("-KILL").args(&pids).status();
    assert!(killed.unwrap().success());
    let ended = Command::new("true").spawn().unwrap();
    let clusters = std::fs::read_dir(folder.join("clusters")).unwrap();
    let cluster = clusters.map(Result::unwrap).next().unwrap();
    let file = cluster.path().join(format!("pids/{component}.pid"));
    assert!(file.exists());
    std::fs::write(file, ended.id().to_string()).unwrap();
    ended
}

/// Returns the ids of the processes of a cluster that run a program.
fn pids(folder: &Path, program: &str) -> Vec<String> {
    let runs = |line: &str| {
        let first = line.split('\0').next().map(Path::new);
        first.is_some_and(|path| path.ends_with(program))
    };
    let processes = processes_that_name(folder).into_iter();
    let found = processes.filter(|(_, line)| runs(line));
    found.map(|(id, _)| id).collect()
}
