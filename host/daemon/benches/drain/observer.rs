//! What is seen at the API server, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use flyball_test_support::Cluster;
use futures::StreamExt as _;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::Runtime;

const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

/// Watches of nodes and pods. They run until this is dropped.
pub struct Observer {
    client: Client,
    seen: Arc<Mutex<Seen>>,
    runtime: Runtime,
}

/// What the watches have seen.
#[derive(Default)]
pub struct Seen {
    /// Names of the pods that run.
    pub running: BTreeSet<String>,
    /// When a node was first seen with the taint of nodes that leave.
    pub tainted: BTreeMap<String, SystemTime>,
    /// When the last pod of a node was gone.
    pub last_pod_gone: BTreeMap<String, SystemTime>,
}

impl Observer {
    pub fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let file = Kubeconfig::read_from(cluster.kubeconfig())?;
        let options = KubeConfigOptions::default();
        let client = runtime.block_on(async {
            let config = Config::from_custom_kubeconfig(file, &options).await?;
            anyhow::Ok(Client::try_from(config)?)
        })?;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        runtime.spawn(watch(
            all(&client, "Node"),
            Arc::clone(&seen),
            Seen::note_node,
        ));
        runtime.spawn(watch(
            all(&client, "Pod"),
            Arc::clone(&seen),
            Seen::note_pod,
        ));
        Ok(Self {
            client,
            seen,
            runtime,
        })
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    pub fn patch_node(&self, name: &str, patch: &Value) -> anyhow::Result<()> {
        let nodes = all(&self.client, "Node");
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = nodes.patch(name, &parameters, &patch);
        self.runtime.block_on(patched)?;
        Ok(())
    }

    pub fn delete_node(&self, name: &str) -> anyhow::Result<()> {
        let nodes = all(&self.client, "Node");
        self.runtime
            .block_on(nodes.delete(name, &DeleteParams::default()))?;
        Ok(())
    }
}

fn all(client: &Client, kind: &str) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
    Api::all_with(client.clone(), &kind)
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes each object, and whether it is gone.
async fn watch(
    objects: Api<DynamicObject>,
    seen: Arc<Mutex<Seen>>,
    note: fn(&mut Seen, &DynamicObject, bool),
) {
    let events = watcher(objects, watcher::Config::default()).default_backoff();
    let mut events = Box::pin(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                note(&mut lock(&seen), &object, false);
            }
            Ok(Event::Delete(object)) => note(&mut lock(&seen), &object, true),
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => eprintln!("a watch of the benchmark is begun again: {error}"),
        }
    }
}

impl Seen {
    fn note_node(&mut self, node: &DynamicObject, _is_gone: bool) {
        let taints = node.data["spec"]["taints"].as_array();
        let mut taints = taints.into_iter().flatten();
        if let Some(name) = &node.metadata.name
            && taints.any(|taint| taint["key"] == TO_BE_DELETED)
        {
            let now = SystemTime::now();
            self.tainted.entry(name.clone()).or_insert(now);
        }
    }

    fn note_pod(&mut self, pod: &DynamicObject, is_gone: bool) {
        let Some(name) = &pod.metadata.name else {
            return;
        };
        if is_gone {
            self.running.remove(name);
            if let Some(node) = pod.data["spec"]["nodeName"].as_str() {
                self.last_pod_gone
                    .insert(node.to_owned(), SystemTime::now());
            }
        } else if pod.data["status"]["phase"] == "Running" {
            self.running.insert(name.clone());
        }
    }
}
