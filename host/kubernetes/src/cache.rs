//! The replica half's view of the cluster: slim copies of its objects, kept up to date
//! by watches.

mod autoscalers;
mod hpas;
mod pods;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use tokio::sync::watch;

pub(crate) use self::autoscalers::Autoscalers;
pub(crate) use self::hpas::{Hpas, TargetKey};
pub(crate) use self::pods::Pods;
use crate::kinds::Kinds;
use crate::pod_watch;
use crate::watch::{KnownIds, Watches};

/// Caches of the cluster's objects. Their watches end when the last clone is dropped.
#[derive(Clone)]
pub struct Caches {
    inner: Arc<Inner>,
}

struct Inner {
    pods: Arc<Cell<Pods>>,
    autoscalers: Arc<Cell<Autoscalers>>,
    hpas: Arc<Cell<Hpas>>,
    changes: watch::Receiver<u64>,
    kinds: Kinds,
    watches: Watches,
    pod_watch: Arc<Watches>,
}

impl Caches {
    /// Starts the watches of a daemon that runs only the replica half. The caches are
    /// incomplete until [`Caches::synced`] returns.
    #[must_use]
    pub async fn start(client: Client) -> Self {
        let watches = Watches::new(client).await;
        let pods = Arc::default();
        let pod_watch = pod_watch::start(watches.beside(), Some(Arc::clone(&pods)), None);
        Self::new(watches, pods, pod_watch)
    }

    /// Starts the watches of all kinds except pods, which `pod_watch` adds to `pods`.
    pub(crate) fn new(
        mut watches: Watches,
        pods: Arc<Cell<Pods>>,
        pod_watch: Arc<Watches>,
    ) -> Self {
        let (changed, changes) = watch::channel(0);
        let (autoscalers, hpas) = (
            Arc::<Cell<Autoscalers>>::default(),
            Arc::<Cell<Hpas>>::default(),
        );
        let mut known = KnownIds::default();
        let kept = Arc::clone(&hpas);
        watches.add(move |event| known.changes(event, |change| kept.lock().take(change)));
        let mut known = KnownIds::default();
        let kept = Arc::clone(&autoscalers);
        watches.add(move |event| {
            known.changes(event, |change| kept.lock().take(change));
            if std::mem::take(&mut kept.lock().changed) {
                changed.send_modify(|count| *count += 1);
            }
        });
        let inner = Inner {
            pods,
            autoscalers,
            hpas,
            changes,
            kinds: Kinds::new(watches.client().clone()),
            watches,
            pod_watch,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Waits until the first list of each kind is complete.
    pub async fn synced(&self) {
        self.inner.watches.synced().await;
        self.inner.pod_watch.synced().await;
    }

    /// Whether the first list of each kind is complete.
    #[must_use]
    pub fn are_synced(&self) -> bool {
        self.inner.watches.are_synced() && self.inner.pod_watch.are_synced()
    }

    /// Returns a receiver that changes when an autoscaler is added, deleted or gets
    /// another spec, to wake the loop.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.clone()
    }

    /// Returns the cache of the cluster's kinds.
    #[must_use]
    pub fn kinds(&self) -> &Kinds {
        &self.inner.kinds
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

/// A cache that a watch writes and others read.
#[derive(Default)]
pub(crate) struct Cell<S>(Mutex<S>);

impl<S> Cell<S> {
    /// Locks the cache. Ignores poisoning: a panic while it was locked left at worst
    /// one outdated object.
    pub(crate) fn lock(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
