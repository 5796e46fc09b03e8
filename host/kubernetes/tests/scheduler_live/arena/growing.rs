//! Adding nodes, and many pods at once, to a cluster.

use std::time::{Duration, Instant};

use flyball_nodes::ports::NodesReader as _;
use flyball_nodes::state::ClusterState;
use futures::future::try_join_all;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use super::{Arena, ROUND, condition, names};

/// How long pods that fit on a node may wait for the scheduler.
const PATIENCE: Duration = Duration::from_secs(15);

impl Arena {
    /// Adds nodes, and returns once both the scheduler and we know them.
    pub fn add_nodes(&self, nodes: &[Value], round: usize) {
        self.runtime.block_on(async {
            let created = nodes.iter().map(|node| self.create_node(node));
            try_join_all(created).await.unwrap();
            for node in nodes {
                self.finish_node(node, round).await.unwrap();
            }
            self.wait_until_scheduler_knows(nodes, round).await;
            let round = round.to_string();
            self.wait_for_state("further nodes", |state| {
                let is_whole = |node: &Value| {
                    let name = node["metadata"]["name"].as_str()?;
                    let node = state
                        .nodes()
                        .find(|known| *known.facts.node.name == *name)?;
                    (**node.facts.node.labels.get(ROUND)? == *round).then_some(())
                };
                nodes.iter().map(is_whole).collect()
            })
            .await
        })
    }

    /// Returns pods as the API server would store them, marked as unschedulable.
    pub fn as_waiting(&self, pods: &[Value]) -> Vec<Value> {
        let parameters = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let (api, parameters) = (|pod| self.pods(names(pod).0), &parameters);
        let stored = pods.iter().map(|pod| async move {
            let typed = serde_json::from_value(pod.clone()).unwrap();
            api(pod).create(parameters, &typed).await
        });
        let stored = self.runtime.block_on(try_join_all(stored)).unwrap();
        let waiting = stored.into_iter().map(|pod| {
            let mut pod = json!(pod);
            pod["status"]["conditions"] = json!([
                { "type": "PodScheduled", "status": "False", "reason": "Unschedulable" },
            ]);
            pod
        });
        waiting.collect()
    }

    /// Returns a List of all objects that plans use, and of further ones.
    pub fn dump_with(&self, further: &[Value]) -> String {
        let mut items = self.runtime.block_on(async {
            let all = ListParams::default();
            let nodes = self.nodes().list(&all).await.unwrap();
            let pods = Api::<k8s_openapi::api::core::v1::Pod>::all(self.client.clone());
            let pods = pods.list(&all).await.unwrap();
            let nodes = nodes.items.into_iter().map(|node| json!(node));
            let pods = pods.items.into_iter().map(|pod| json!(pod));
            nodes.chain(pods).collect::<Vec<Value>>()
        });
        items.extend_from_slice(further);
        json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
    }

    /// Creates pods one after the other. Returns their uids.
    pub fn submit_all(&self, pods: &[Value]) -> Vec<String> {
        self.runtime.block_on(async {
            let mut uids = Vec::new();
            for pod in pods {
                let stored = self.create_pod(pod).await.unwrap();
                uids.push(stored.metadata.uid.unwrap());
            }
            uids
        })
    }

    /// Waits until each of the pods is bound or fits on no node. Returns the names of
    /// those that are not bound, with the scheduler's last reasons.
    pub fn settle(&self, uids: &[String]) -> Vec<(String, String)> {
        self.runtime.block_on(async {
            let start = Instant::now();
            let left = self
                .wait_for_state("decisions of the scheduler", |state| {
                    let left = undecided(state, uids)?;
                    let rests = start.elapsed() > PATIENCE || !fits_somewhere(state, &left);
                    rests.then_some(left)
                })
                .await;
            let mut unbound = Vec::new();
            for (namespace, name) in self.keys(&left) {
                let pod = self.pods(&namespace).get(&name).await.unwrap();
                let message = condition(&pod).and_then(|it| it.message.clone());
                // The text after the reasons is about preemption.
                let reasons = message.as_deref().and_then(|it| it.split(". ").next());
                unbound.push((name, reasons.unwrap_or_default().to_owned()));
            }
            unbound
        })
    }

    fn keys(&self, uids: &[&String]) -> Vec<(String, String)> {
        self.watch.with_state(|state| {
            let keys = uids.iter().filter_map(|uid| state.pod(uid));
            keys.map(|pod| pod.key)
                .map(|key| (key.namespace.to_string(), key.name.to_string()))
                .collect()
        })
    }
}

/// Returns the pods that the scheduler found no node for. `None` if it has not
/// processed all of them yet.
fn undecided<'a>(state: &ClusterState, uids: &'a [String]) -> Option<Vec<&'a String>> {
    let mut left = Vec::new();
    for uid in uids {
        let facts = state.pod(uid)?.facts;
        if facts.node.is_none() {
            left.push(uid);
        }
        if facts.node.is_none() && !facts.unschedulable {
            return None;
        }
    }
    Some(left)
}

/// Whether one of the pods fits on a node, so that it will be bound.
fn fits_somewhere(state: &ClusterState, uids: &[&String]) -> bool {
    let cluster = state.cluster();
    let pods = uids.iter().filter_map(|uid| state.pod(uid));
    let mut classes: Vec<_> = pods.map(|pod| pod.class).collect();
    classes.sort_unstable();
    classes.dedup();
    let fits = |class| cluster.node_ids().any(|node| cluster.fits(class, node));
    classes.into_iter().any(fits)
}
