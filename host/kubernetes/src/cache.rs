//! Slim copies of the cluster's objects, kept up to date by watches.
//!
//! What a watch brings is compacted while it is read, the first list included.
//! A watch that breaks is started again, with backoff; meanwhile the copy stays.

mod autoscalers;
mod hpas;
mod pods;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flyball_core::time::Timestamp;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::autoscalers::Autoscalers;
pub(crate) use self::hpas::{Hpas, TargetKey};
pub(crate) use self::pods::Pods;
use crate::request::answer;

/// The first version of Kubernetes that has streaming lists switched on.
const STREAMING_LISTS: u32 = 34;

/// What is known of the cluster. The watches end with the last clone.
#[derive(Clone)]
pub struct Caches {
    inner: Arc<Inner>,
}

struct Inner {
    pods: Arc<Cell<Pods>>,
    autoscalers: Arc<Cell<Autoscalers>>,
    hpas: Arc<Cell<Hpas>>,
    synced: [watch::Receiver<bool>; 3],
    changes: watch::Receiver<u64>,
    _watches: JoinSet<()>,
}

impl Caches {
    /// Starts to watch. Nothing is known before [`Caches::synced`].
    #[must_use]
    pub async fn start(client: Client) -> Self {
        let config = watch_config(&client).await;
        let mut watches = JoinSet::new();
        let (changed, changes) = watch::channel(0);
        let count = move |autoscalers: &mut Autoscalers| {
            if std::mem::take(&mut autoscalers.changed) {
                changed.send_modify(|count| *count += 1);
            }
        };
        let (pods, pods_synced) = keep(&mut watches, &client, &config, |_: &mut Pods| {});
        let (hpas, hpas_synced) = keep(&mut watches, &client, &config, |_: &mut Hpas| {});
        let (autoscalers, autoscalers_synced) = keep(&mut watches, &client, &config, count);
        let synced = [pods_synced, hpas_synced, autoscalers_synced];
        let inner = Inner {
            pods,
            autoscalers,
            hpas,
            synced,
            changes,
            _watches: watches,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Waits until every object that the cluster had is known.
    pub async fn synced(&self) {
        for synced in &self.inner.synced {
            // The watches, which hold the other end, live as long as `self`.
            let _ = synced.clone().wait_for(|synced| *synced).await;
        }
    }

    /// Whether every object that the cluster had is known.
    #[must_use]
    pub fn are_synced(&self) -> bool {
        self.inner.synced.iter().all(|synced| *synced.borrow())
    }

    /// Changes when an autoscaler comes, goes, or has another spec: a loop that
    /// sleeps should then look.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.clone()
    }

    pub(crate) fn pods(&self) -> MutexGuard<'_, Pods> {
        self.inner.pods.lock()
    }

    pub(crate) fn autoscalers(&self) -> MutexGuard<'_, Autoscalers> {
        self.inner.autoscalers.lock()
    }

    pub(crate) fn hpas(&self) -> MutexGuard<'_, Hpas> {
        self.inner.hpas.lock()
    }
}

/// Takes what a watch brings.
pub(crate) trait Store: Default + Send + 'static {
    /// An object as it comes in.
    type Incoming: Resource<DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static;

    /// Takes an object in, in place of an older state of it.
    fn apply(&mut self, incoming: Self::Incoming);

    /// Forgets an object.
    fn delete(&mut self, incoming: Self::Incoming);
}

struct Cell<S>(Mutex<S>);

impl<S> Cell<S> {
    /// A panic while it was locked left at worst one object of the past in it.
    fn lock(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches all objects of a kind, and tells when it knows them and after each
/// change.
fn keep<S: Store>(
    watches: &mut JoinSet<()>,
    client: &Client,
    config: &watcher::Config,
    after: impl Fn(&mut S) + Send + 'static,
) -> (Arc<Cell<S>>, watch::Receiver<bool>) {
    let cell = Arc::new(Cell(Mutex::new(S::default())));
    let (synced, receiver) = watch::channel(false);
    let stream = watcher(Api::<S::Incoming>::all(client.clone()), config.clone());
    let kept = cell.clone();
    watches.spawn(async move {
        let mut stream = std::pin::pin!(stream.default_backoff());
        // A list that starts anew is built beside the old state, and replaces it.
        let mut listed = S::default();
        while let Some(event) = stream.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    let kind = S::Incoming::plural(&());
                    tracing::warn!(%kind, %error, "a watch broke and is started again");
                    continue;
                }
            };
            let mut store = kept.lock();
            match event {
                watcher::Event::Init => listed = S::default(),
                watcher::Event::InitApply(object) => listed.apply(object),
                watcher::Event::InitDone => {
                    *store = std::mem::take(&mut listed);
                    synced.send_replace(true);
                }
                watcher::Event::Apply(object) => store.apply(object),
                watcher::Event::Delete(object) => store.delete(object),
            }
            after(&mut store);
        }
    });
    (cell, receiver)
}

/// Streaming lists where the server has them, else pages.
pub(crate) async fn watch_config(client: &Client) -> watcher::Config {
    let config = watcher::Config::default();
    let version = answer(client.apiserver_version()).await.ok();
    let minor: Option<u32> =
        version.and_then(|version| version.minor.trim_end_matches('+').parse().ok());
    match minor {
        Some(minor) if minor >= STREAMING_LISTS => config.streaming_lists(),
        _ => config,
    }
}

/// What is kept of an object's metadata.
struct Metadata {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    deletion: Option<Timestamp>,
}

impl From<ObjectMeta> for Metadata {
    fn from(metadata: ObjectMeta) -> Self {
        Self {
            name: metadata.name.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            deletion: metadata
                .deletion_timestamp
                .map(|at| Timestamp(at.0.as_millisecond())),
        }
    }
}

/// Reads metadata without the parts that are long and of no use here: managed
/// fields, annotations, owners.
fn slim_metadata<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Slim {
        name: Option<String>,
        namespace: Option<String>,
        resource_version: Option<String>,
        labels: Option<BTreeMap<String, String>>,
        deletion_timestamp: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    }
    let slim = Slim::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: slim.name,
        namespace: slim.namespace,
        resource_version: slim.resource_version,
        labels: slim.labels,
        deletion_timestamp: slim.deletion_timestamp,
        ..ObjectMeta::default()
    })
}
