//! The configuration of kwokctl and kwok.

use serde_json::{Value, json};

use super::ClusterOptions;
use crate::binaries::{Binaries, kubernetes_version};

const KWOK_API: &str = "config.kwok.x-k8s.io/v1alpha1";

/// Returns a `KwokctlConfiguration` in which every binary is a local path, so that
/// nothing is fetched, and every address is 127.0.0.1. The keeper replaces `"BLOCK0"` and
/// so on by the ports of the block that it claims.
pub(super) fn configuration(
    binaries: &Binaries,
    options: &ClusterOptions,
) -> anyhow::Result<String> {
    let mut patches = vec![
        extra_arg("kwok-controller", "node-ip", "127.0.0.1"),
        extra_arg(
            "kwok-controller",
            "disregard-status-with-annotation-selector",
            "kwok.x-k8s.io/status=custom",
        ),
    ];
    if !options.horizontal_pod_autoscaler {
        let controllers = "*,-horizontal-pod-autoscaler-controller";
        patches.push(extra_arg(
            "kube-controller-manager",
            "controllers",
            controllers,
        ));
    }
    for component in ["kube-controller-manager", "kube-scheduler"] {
        // Each is alone, and ends if it is too busy to renew its lease.
        let mut args = vec![("leader-elect", "false")];
        if options.fast_controllers {
            args.extend([("kube-api-qps", "1000"), ("kube-api-burst", "1000")]);
        }
        patches.push(extra_args(component, &args));
    }
    let kwokctl = json!({
        "apiVersion": KWOK_API,
        "kind": "KwokctlConfiguration",
        "metadata": { "name": "flyball" },
        "options": {
            "runtime": "binary",
            "bindAddress": "127.0.0.1",
            "kubeVersion": kubernetes_version()?,
            "etcdBinary": binaries.path("etcd"),
            "kubeApiserverBinary": binaries.path("kube-apiserver"),
            "kubeControllerManagerBinary": binaries.path("kube-controller-manager"),
            "kubeSchedulerBinary": binaries.path("kube-scheduler"),
            "kubectlBinary": binaries.path("kubectl"),
            "kwokControllerBinary": binaries.path("kwok"),
            "metricsServerBinary": binaries.path("metrics-server"),
            "metricsServerManifests": [binaries.manifest("metrics-server")],
            "enable": ["metrics-server"],
            "etcdPeerPort": "BLOCK0",
            "etcdPort": "BLOCK1",
            "kubeApiserverPort": "BLOCK2",
            "kubeControllerManagerPort": "BLOCK3",
            "kubeSchedulerPort": "BLOCK4",
            "kwokControllerPort": "BLOCK5",
            "metricsServerPort": "BLOCK6",
        },
        "componentsPatches": patches,
    });
    Ok(match options.fast_controllers {
        true => format!("{kwokctl}\n---\n{}\n", fast_kwok()),
        false => kwokctl.to_string(),
    })
}

/// Returns a `KwokConfiguration` with which kwok works on more pods at a time, for which it
/// takes no flag. Such an object replaces all of kwok's defaults, so these are part of it.
fn fast_kwok() -> Value {
    json!({
        "apiVersion": KWOK_API,
        "kind": "KwokConfiguration",
        "options": {
            "podPlayStageParallelism": 32,
            "nodePlayStageParallelism": 4,
            "nodeLeaseParallelism": 4,
            "podsOnNodeSyncParallelism": 1,
            "enablePodsOnNodeSyncListPager": true,
            "enablePodsOnNodeSyncStreamWatch": false,
            "enableDebuggingHandlers": true,
            "enableProfilingHandler": true,
            "cidr": "10.0.0.0/24",
        },
    })
}

fn extra_arg(component: &str, key: &str, value: &str) -> Value {
    extra_args(component, &[(key, value)])
}

fn extra_args(component: &str, args: &[(&str, &str)]) -> Value {
    let args = args.iter();
    let args: Vec<Value> = args
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    json!({ "name": component, "extraArgs": args })
}
