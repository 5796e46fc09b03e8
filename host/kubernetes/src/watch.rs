//! Watches of the API server, one for each kind.
//!
//! Objects are reduced to slim ones while they are read, also in the first list. A
//! watch that breaks is restarted with backoff. Known objects stay until the new list
//! is complete; those missing in it are then deleted.

mod changes;
mod slim_object;

use std::time::Duration;

use flyball_decision::text;
use flyball_tasks::{CatchPanic, Idle, catch_panic};
use futures::StreamExt as _;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::changes::{Change, KnownIds, Watched, namespaced_id};
pub(crate) use self::slim_object::{Slim, SlimKind};
use crate::request::{self, answer};

/// The first minor version of Kubernetes with streaming lists enabled by default.
const STREAMING_LISTS: u32 = 34;

/// Objects in a page of a list, of any kind. The text of a page is in memory as a whole, even
/// twice for a moment, and an object may have more than a MiB. On the other hand, 150,000 pods
/// are 3,000 pages, which are read one after the other and must all be read within some five
/// minutes: then the API server forgets the state of which they are.
const PAGE_SIZE: u32 = 50;

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
        Self::with(request::with_timeout(client), config)
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
        let config = self.config.clone();
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
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    let version = answer(client.apiserver_version()).await.ok();
    let minor: Option<u32> =
        version.and_then(|version| version.minor.trim_end_matches('+').parse().ok());
    match minor {
        Some(minor) if minor >= STREAMING_LISTS => config.streaming_lists(),
        _ => config,
    }
}

#[cfg(test)]
mod tests;
