//! Draining of nodes.

use std::collections::BTreeSet;

use flyball_nodes::ports::NodesReader as _;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::Status;
use serde_json::{Value, json};

use super::{Arena, names};

impl Arena {
    /// Taints and cordons a node, as a drain does, and waits until that is known.
    pub fn mark(&self, name: &str) {
        self.runtime.block_on(async {
            let node = json!(self.nodes().get(name).await.unwrap());
            let taints = node["spec"]["taints"].as_array();
            let mut taints = taints.cloned().unwrap_or_default();
            taints.push(json!({
                "key": "ToBeDeletedByClusterAutoscaler",
                "value": "1800000000",
                "effect": "NoSchedule",
            }));
            let patch = json!({ "spec": { "taints": taints, "unschedulable": true } });
            let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
            self.nodes().patch(name, &params, &patch).await.unwrap();
            self.wait_for_state("the cordon", |state| {
                let mut nodes = state.nodes();
                let node = nodes.find(|node| *node.facts.node.name == *name)?;
                node.facts.node.unschedulable.then_some(())
            })
            .await;
        });
    }

    /// Returns the names of the pods on a node, as namespace and name.
    pub fn pods_on(&self, node: &str) -> Vec<(String, String)> {
        self.watch.with_state(|state| {
            let pods = state.pods_on(node);
            let mut keys: Vec<_> = pods
                .map(|pod| (pod.key.namespace.to_string(), pod.key.name.to_string()))
                .collect();
            keys.sort();
            keys
        })
    }

    /// Returns the node of each pod.
    pub fn node_of(&self, uid: &str) -> Option<String> {
        self.watch.with_state(|state| {
            let node = state.pod(uid)?.facts.node.as_ref()?;
            Some(node.to_string())
        })
    }

    /// Evicts a pod of a node. There is no kubelet, so it has no grace.
    pub fn evict(&self, node: &str, namespace: &str, name: &str) {
        let body = Eviction {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            delete_options: Some(DeleteOptions {
                grace_period_seconds: Some(0),
                ..DeleteOptions::default()
            }),
        };
        self.runtime.block_on(async {
            let pods = self.pods(namespace);
            let params = PostParams::default();
            let _: Status = pods
                .create_subresource("eviction", name, &params, &body)
                .await
                .unwrap();
            self.wait_for_state("the end of an evicted pod", |state| {
                let mut pods = state.pods_on(node);
                let is_there = pods.any(|pod| *pod.key.name == *name);
                (!is_there).then_some(())
            })
            .await;
        });
    }

    /// Deletes pods, and waits until that is known.
    pub fn delete_all(&self, pods: &[Value]) {
        self.runtime.block_on(async {
            for pod in pods {
                let (namespace, name) = names(pod);
                self.delete_now(namespace, name).await;
            }
            let gone: BTreeSet<(&str, &str)> = pods.iter().map(names).collect();
            self.wait_for_state("the end of the deleted pods", |state| {
                let is_left = |uid| {
                    let pod = state.pod(uid);
                    pod.is_some_and(|pod| gone.contains(&(&*pod.key.namespace, &*pod.key.name)))
                };
                let mut uids = state.pod_uids();
                (!uids.any(|uid| is_left(uid))).then_some(())
            })
            .await;
        });
    }

    /// Deletes a node, and waits until that is known.
    pub fn remove_node(&self, name: &str) {
        self.runtime.block_on(async {
            let params = DeleteParams::default();
            self.nodes().delete(name, &params).await.unwrap();
            self.wait_for_state("the end of a node", |state| {
                let mut nodes = state.nodes();
                let is_there = nodes.any(|node| *node.facts.node.name == *name);
                (!is_there).then_some(())
            })
            .await;
        });
    }
}

/// Returns a pod as its owner creates it again: with another name, and on no node.
pub fn created_again(pod: &Value, number: usize) -> Value {
    let mut pod = pod.clone();
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    // Of the first name, whatever the number of moves.
    let name = name.split(".moved").next().unwrap_or_default();
    pod["metadata"]["name"] = json!(format!("{name}.moved-{number}"));
    if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("nodeName");
    }
    pod
}
