//! Memory and time of `flyball plan` for a dump of a large cluster: 5,000 nodes, 13,000
//! pods of which 3,000 wait, 57 MB of JSON as kubectl prints it.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use flyball_test_support::bench::report;
use serde_json::{Value, json};

const NODES: usize = 5_000;
const PODS: usize = 13_000;
const PENDING: usize = 3_000;
const TARGET_MB: f64 = 150.0;

const GROUPS: &str = "\
nodeGroups:
- {name: a, max: 4000, nodeSelector: {topology.kubernetes.io/zone: zone-a}}
- {name: b, max: 4000, nodeSelector: {topology.kubernetes.io/zone: zone-b}}
- {name: c, max: 4000, nodeSelector: {topology.kubernetes.io/zone: zone-c}}
";

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let dump = folder.path().join("cluster.json");
    write_dump(&dump)?;
    fs::write(folder.path().join("groups.yaml"), GROUPS)?;
    let size = fs::metadata(&dump)?.len() as f64 / 1e6;
    ensure!((56.0..58.0).contains(&size), "the dump has {size} MB");
    // The first run fills the cache of compiled policies.
    plan(folder.path())?;
    let (peak, time) = plan(folder.path())?;
    report("plan/dump-memory", peak as f64 / 1e6, "MB", Some(TARGET_MB))?;
    report("plan/dump-time", time.as_secs_f64(), "s", None)
}

/// Runs the plan, and returns its peak memory in bytes and its time.
fn plan(folder: &Path) -> anyhow::Result<(u64, Duration)> {
    let begin = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_flyball"))
        .args(["plan", "cluster.json", "--node-groups", "groups.yaml"])
        .env("FLYBALL_STATE_DIR", folder.join("state"))
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        // The value never falls while the process lives; a process that has ended has
        // none.
        if let Some(most) = fs::read_to_string(&status)
            .ok()
            .as_deref()
            .and_then(high_water)
        {
            peak = most;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    ensure!(ended.success(), "flyball plan failed");
    ensure!(peak > 0, "no VmHWM in {status}");
    Ok((peak, begin.elapsed()))
}

/// Returns the peak memory of a process, in bytes.
fn high_water(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Writes a List as kubectl prints it: indented, its items first.
fn write_dump(path: &Path) -> anyhow::Result<()> {
    let file = File::create(path).context("cannot create the dump")?;
    let mut out = BufWriter::new(file);
    let nodes = (0..NODES).map(node);
    let pods = (0..PODS).map(pod);
    let namespace = json!({ "kind": "Namespace", "metadata": { "name": "default" } });
    write!(out, "{{\n    \"apiVersion\": \"v1\",\n    \"items\": [")?;
    for (row, item) in [namespace].into_iter().chain(nodes).chain(pods).enumerate() {
        let comma = if row == 0 { "" } else { "," };
        write!(out, "{comma}\n{item:#}")?;
    }
    write!(out, "\n    ],\n    \"kind\": \"List\"\n}}\n")?;
    out.flush()?;
    Ok(())
}

fn node(row: usize) -> Value {
    let zone = ["zone-a", "zone-b", "zone-c"][row % 3];
    let name = format!("ip-10-{}-{}-{}", row / 65_536, row / 256 % 256, row % 256);
    let image = |index: usize| {
        let digest = format!("{:064x}", row * 64 + index);
        json!({
            "names": [format!("registry.example.com/team/service-{index}@sha256:{digest}")],
            "sizeBytes": 50_000_000 + index,
        })
    };
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "KubeletHasSufficientResources",
            "message": "kubelet has sufficient resources available",
            "lastHeartbeatTime": "2026-02-01T00:00:00Z",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let resources = json!({ "cpu": "16", "memory": "64Gi", "pods": "110",
        "ephemeral-storage": "100Gi", "hugepages-1Gi": "0", "hugepages-2Mi": "0" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name, "uid": format!("node-{row}"), "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64", "node.kubernetes.io/instance-type": "m5.4xlarge",
                "topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "eu-west-1",
            },
            "annotations": { "volumes.kubernetes.io/controller-managed-attach-detach": "true" },
        },
        "spec": { "providerID": format!("aws:///{zone}/i-{row:017x}") },
        "status": {
            "allocatable": resources, "capacity": resources,
            "conditions": [
                condition("MemoryPressure", "False"), condition("DiskPressure", "False"),
                condition("PIDPressure", "False"), condition("Ready", "True"),
            ],
            "images": (0..10).map(image).collect::<Vec<_>>(),
            "nodeInfo": { "architecture": "amd64", "kubeletVersion": "v1.36.3" },
        },
    })
}

/// Returns a pod. Running pods fill the nodes, so that the waiting ones need new nodes.
fn pod(row: usize) -> Value {
    let waits = row < PENDING;
    let workload = format!("workload-{}", row % 60);
    let variable = |index: usize| json!({ "name": format!("SETTING_{index}"), "value": format!("value-{index}-of-{workload}") });
    let container = json!({
        "name": "main",
        "image": format!("registry.example.com/team/{workload}:v1.2.3"),
        "env": (0..4).map(variable).collect::<Vec<_>>(),
        "resources": { "requests": { "cpu": "7", "memory": "20Gi" } },
        "livenessProbe": { "httpGet": { "path": "/healthz", "port": 8080, "scheme": "HTTP" },
            "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3 },
        "volumeMounts": [{ "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
            "name": "kube-api-access", "readOnly": true }],
        "terminationMessagePath": "/dev/termination-log",
    });
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({ "type": kind, "status": status, "reason": reason,
            "lastTransitionTime": "2026-02-01T00:00:00Z" })
    };
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{workload}-{row}"), "namespace": "default",
            "uid": format!("pod-{row}"), "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "app": workload, "pod-template-hash": "5f6d7c8b9" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": workload, "uid": workload, "controller": true }],
        },
        "spec": {
            "containers": [container],
            "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "serviceAccountName": "default", "terminationGracePeriodSeconds": 30,
            "tolerations": [
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists",
                  "effect": "NoExecute", "tolerationSeconds": 300 },
            ],
        },
        "status": {
            "phase": if waits { "Pending" } else { "Running" },
            "qosClass": "Burstable",
            "conditions": if waits {
                vec![condition("PodScheduled", "False", "Unschedulable")]
            } else {
                ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
                    .map(|kind| condition(kind, "True", ""))
                    .to_vec()
            },
        },
    });
    if !waits {
        let node = (row - PENDING) % NODES;
        let node = format!(
            "ip-10-{}-{}-{}",
            node / 65_536,
            node / 256 % 256,
            node % 256
        );
        pod["spec"]["nodeName"] = node.into();
    }
    pod
}
