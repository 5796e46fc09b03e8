//! Watches of the API server, one for each kind.
//!
//! Objects are reduced to slim ones while they are read, also in the first list. A
//! watch that breaks is restarted with backoff. Known objects stay until the new list
//! is complete; those missing in it are then deleted.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use flyball_decision::text;
use flyball_placement::Name;
use flyball_tasks::{CatchPanic, Idle, catch_panic};
use futures::StreamExt as _;
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::identity::{Identified, Identity};
use crate::request::{self, answer};
use crate::slim::ObjectMetadata;

/// The first minor version of Kubernetes with streaming lists enabled by default.
const STREAMING_LISTS: u32 = 34;

/// Time to wait, besides the backoff, before a kind that the API server refuses is tried
/// again.
const REFUSED_RETRY: Duration = Duration::from_secs(30);

/// Time to wait before a watch is started again that has panicked on an object.
const FAILED_RETRY: Duration = Duration::from_secs(5);

/// Watches of several kinds. They end when the value is dropped.
pub(crate) struct Watches {
    client: Client,
    config: watcher::Config,
    synced: Vec<watch::Receiver<bool>>,
    tasks: JoinSet<()>,
}

impl Watches {
    /// Creates an empty set of watches. Asks the API server for its version, to choose
    /// how to list.
    pub(crate) async fn new(client: Client) -> Self {
        let config = watch_config(&client).await;
        Self::with(client, config)
    }

    /// Creates an empty set of watches of the same API server.
    pub(crate) fn sibling(&self) -> Self {
        Self::with(self.client.clone(), self.config.clone())
    }

    fn with(client: Client, config: watcher::Config) -> Self {
        Self {
            client,
            config,
            synced: Vec::new(),
            tasks: JoinSet::new(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Watches all objects of a kind, in every namespace.
    pub(crate) fn add<K: Watched>(&mut self, take: impl FnMut(Event<K>) + Send + 'static) {
        // Its sender is gone: there is nothing to wait for.
        let (_, never) = watch::channel(());
        self.add_listing_again(never, take);
    }

    /// Watches all objects of a kind. Lists them again when `again` changes: how objects
    /// are read has changed.
    pub(crate) fn add_listing_again<K: Watched, A: Send + Sync + 'static>(
        &mut self,
        again: watch::Receiver<A>,
        mut take: impl FnMut(Event<K>) + Send + 'static,
    ) {
        self.start(again, move |event| match event {
            Ok(event) => {
                let is_complete = matches!(event, Event::InitDone);
                take(event);
                Progress::complete(is_complete)
            }
            Err(error) => {
                warn_broken::<K>(&error);
                Progress::Incomplete
            }
        });
    }

    /// Watches all objects of a kind if the API server lets this process. Calls
    /// `set_available` with false when it refuses, and with true once it does not any
    /// more. A refused kind does not delay [`Self::synced`].
    pub(crate) fn add_optional<K: Watched>(
        &mut self,
        mut take: impl FnMut(Event<K>) + Send + 'static,
        mut set_available: impl FnMut(bool) + Send + 'static,
    ) {
        let mut is_refused = false;
        let (_, never) = watch::channel(());
        self.start(never, move |event| {
            let error = match event {
                Ok(event) => {
                    let is_init = matches!(event, Event::Init | Event::InitApply(_));
                    let is_complete = matches!(event, Event::InitDone);
                    take(event);
                    if is_refused && !is_init {
                        is_refused = false;
                        set_available(true);
                        tracing::info!(kind = %K::plural(&()), "can be watched now");
                    }
                    return Progress::complete(is_complete);
                }
                Err(error) => error,
            };
            if !refuses(&error) {
                warn_broken::<K>(&error);
                return Progress::Incomplete;
            }
            if !is_refused {
                is_refused = true;
                set_available(false);
                tracing::warn!(
                    kind = %K::plural(&()), group = %K::group(&()), %error,
                    "the API server refuses list or watch: scale-down takes these objects \
                     for unknown"
                );
            }
            Progress::Refused
        });
    }

    /// Starts a watch of all objects of a kind, and passes on each event and error. Starts
    /// it anew when `again` changes.
    fn start<K: Watched, A: Send + Sync + 'static>(
        &mut self,
        mut again: watch::Receiver<A>,
        mut take: impl FnMut(watcher::Result<Event<K>>) -> Progress + Send + 'static,
    ) {
        let (synced, receiver) = watch::channel(false);
        let client = self.client.clone();
        let config = self.config.clone().page_size(K::PAGE_SIZE);
        let objects = move || {
            let objects = watcher(Api::<K>::all(client.clone()), config.clone());
            objects.default_backoff().boxed()
        };
        self.synced.push(receiver);
        self.spawn(async move {
            let mut stream = objects();
            loop {
                let event = tokio::select! {
                    // A change comes before events that would be read the old way.
                    biased;
                    Ok(()) = again.changed() => {
                        stream = objects();
                        continue;
                    }
                    event = CatchPanic::new(stream.next()) => event,
                };
                // What an object makes of its event must not end the watch.
                let taken = match event {
                    Ok(Some(event)) => catch_panic(|| {
                        if let Ok(Event::InitApply(object) | Event::Apply(object)) = &event {
                            warn_unreadable(object);
                        }
                        take(event)
                    }),
                    Ok(None) => Err("it ended".to_owned()),
                    Err(panic) => Err(panic),
                };
                match taken {
                    Ok(Progress::Incomplete) => {}
                    Ok(Progress::Complete) => {
                        synced.send_replace(true);
                    }
                    Ok(Progress::Refused) => {
                        synced.send_replace(true);
                        tokio::time::sleep(REFUSED_RETRY).await;
                    }
                    Err(problem) => {
                        let kind = K::plural(&());
                        tracing::error!(%kind, problem, "a watch failed and is started again");
                        tokio::time::sleep(FAILED_RETRY).await;
                        stream = objects();
                    }
                }
            }
        });
    }

    /// Runs a task that ends with the watches.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(flyball_tasks::watch(
            "watch of the cluster",
            Idle::Unlimited,
            task,
        ));
    }

    /// Waits until the first list of each kind is complete.
    pub(crate) async fn synced(&self) {
        for synced in &self.synced {
            // Can't fail: the tasks, which own the senders, live as long as `self`.
            let _ = synced.clone().wait_for(|synced| *synced).await;
        }
    }

    /// Whether the first list of each kind is complete.
    pub(crate) fn are_synced(&self) -> bool {
        self.synced.iter().all(|synced| *synced.borrow())
    }
}

/// What an event of a watch means for its first list.
enum Progress {
    Incomplete,
    Complete,
    /// There will be no list for now.
    Refused,
}

impl Progress {
    fn complete(is_complete: bool) -> Self {
        if is_complete {
            Self::Complete
        } else {
            Self::Incomplete
        }
    }
}

fn warn_broken<K: Watched>(error: &watcher::Error) {
    let kind = K::plural(&());
    let error = match error {
        watcher::Error::WatchError(status) => text::message(status.message.clone()),
        error => request::problem(error),
    };
    tracing::warn!(%kind, error, "a watch broke and is started again");
}

/// Names an object that can't be read.
fn warn_unreadable<K: Watched>(object: &K) {
    let Some(problem) = object.problem() else {
        return;
    };
    let (kind, metadata) = (K::kind(&()), object.meta());
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    tracing::warn!(
        %kind, namespace, name, problem,
        "an object can't be read: it stays as it was known before"
    );
}

/// Whether the API server does not let this process list or watch, or does not serve the
/// kind.
fn refuses(error: &watcher::Error) -> bool {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status,
        _ => return false,
    };
    matches!(status.code, 403 | 404)
}

/// Uses streaming lists if the server supports them, else paged lists.
async fn watch_config(client: &Client) -> watcher::Config {
    let config = watcher::Config::default();
    let version = answer(client.apiserver_version()).await.ok();
    let minor: Option<u32> =
        version.and_then(|version| version.minor.trim_end_matches('+').parse().ok());
    match minor {
        Some(minor) if minor >= STREAMING_LISTS => config.streaming_lists(),
        _ => config,
    }
}

/// A kind that can be watched. An object whose content can't be read is read with its
/// metadata alone, so that it does not affect others of its list.
pub(crate) trait Watched:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
    /// Objects in a page of a list.
    const PAGE_SIZE: u32 = 500;

    /// An object of the kind.
    type Object;

    /// The uid, or another unique id among objects of the kind.
    fn id(&self) -> Name;

    /// Returns the object. `None` if it can't be read.
    fn into_object(self) -> Option<Self::Object>;

    /// Returns why the object can't be read. `None` if it can.
    fn problem(&self) -> Option<&str>;
}

/// A change of one object.
pub(crate) enum Change<T> {
    /// The object is new or has changed.
    Apply(T),
    /// The object with this id is gone.
    Delete(Name),
}

/// Ids of the known objects of one kind, to find the objects that a new list does not
/// have.
#[derive(Default)]
pub(crate) struct KnownIds {
    known: HashSet<Name>,
    /// While a list is being read, the known ids that it has not contained yet.
    unlisted: Option<HashSet<Name>>,
}

impl KnownIds {
    /// Calls `change` for each change that an event makes. An object that can't be read
    /// stays as it was known before, if it was.
    pub(crate) fn changes<K: Watched>(
        &mut self,
        event: Event<K>,
        mut change: impl FnMut(Change<K::Object>),
    ) {
        match event {
            Event::Init => self.unlisted = Some(self.known.clone()),
            Event::InitApply(object) | Event::Apply(object) => {
                let id = object.id();
                if let Some(unlisted) = &mut self.unlisted {
                    unlisted.remove(&id);
                }
                if let Some(object) = object.into_object() {
                    self.known.insert(id);
                    change(Change::Apply(object));
                }
            }
            Event::InitDone => {
                // Sorted, so that the order of deletions does not depend on hashes.
                let gone: BTreeSet<Name> = self.unlisted.take().into_iter().flatten().collect();
                for id in gone {
                    self.known.remove(&id);
                    change(Change::Delete(id));
                }
            }
            Event::Delete(object) => {
                let id = object.id();
                self.known.remove(&id);
                change(Change::Delete(id));
            }
        }
    }
}

/// Returns the id `NAMESPACE/NAME`, for objects of which no uid is kept.
pub(crate) fn namespaced_id(namespace: &str, name: &str) -> Name {
    format!("{namespace}/{name}").into()
}

/// A kind whose objects are read into slim structures.
pub(crate) trait SlimKind: DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    const GROUP: &str;
    const VERSION: &str = "v1";
    const KIND: &str;
    const PLURAL: &str;

    fn metadata(&self) -> &ObjectMetadata;

    /// Returns the uid, or another unique id among objects of the kind.
    fn id(metadata: &ObjectMetadata) -> Name;
}

/// A slim object with the metadata that kube's watcher reads.
#[derive(Clone, Debug)]
pub(crate) struct Slim<T> {
    metadata: ObjectMeta,
    id: Name,
    /// The object, or why it can't be read.
    pub(crate) object: Result<T, Arc<str>>,
}

impl<'de, T: SlimKind> Deserialize<'de> for Slim<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The deserializer would be lost in the midst of an object that can't be read.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::read(text.get()).map_err(D::Error::custom)
    }
}

impl<T: SlimKind> Slim<T> {
    /// Reads an object from JSON.
    ///
    /// # Errors
    /// If not even its metadata can be read.
    fn read(text: &str) -> Result<Self, serde_json::Error> {
        match serde_json::from_str::<T>(text) {
            Ok(object) => {
                let metadata = object.metadata();
                Ok(Self {
                    metadata: Identity::of(metadata).into(),
                    id: T::id(metadata),
                    object: Ok(object),
                })
            }
            Err(problem) => {
                let Identified { metadata } = serde_json::from_str(text)?;
                Ok(Self {
                    id: T::id(&metadata.slim()),
                    metadata: metadata.into(),
                    object: Err(problem.to_string().into()),
                })
            }
        }
    }
}

impl<T: SlimKind> Watched for Slim<T> {
    type Object = T;

    fn id(&self) -> Name {
        self.id.clone()
    }

    fn into_object(self) -> Option<T> {
        self.object.ok()
    }

    fn problem(&self) -> Option<&str> {
        self.object.as_ref().err().map(|problem| &**problem)
    }
}

/// The scope does not matter, as objects of all namespaces are watched.
impl<T: SlimKind> Resource for Slim<T> {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        T::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        T::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        T::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        T::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests;
