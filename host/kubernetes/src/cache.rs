//! The replica half's view of the cluster: slim copies of its objects, kept up to date
//! by watches.

mod autoscalers;
mod hpas;
mod pods;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::runtime::watcher::Event;
use tokio::sync::watch;

pub use self::autoscalers::Autoscalers;
pub(crate) use self::hpas::{HpaObject, Hpas, TargetKey};
pub use self::pods::Pods;
use crate::kinds::Kinds;
use crate::resource::ReplicaAutoscaler;
use crate::watch::{KnownIds, Slim, Watches};

/// Caches of the cluster's objects. Their watches end when the last clone is dropped.
#[derive(Clone)]
pub struct Caches {
    inner: Arc<Inner>,
}

struct Inner {
    pods: Arc<Locked<Pods>>,
    autoscalers: Arc<Locked<Autoscalers>>,
    hpas: Arc<Locked<Hpas>>,
    changes: watch::Receiver<u64>,
    kinds: Kinds,
    watches: Watches,
    pod_watch: Arc<Watches>,
}

impl Caches {
    /// Starts the watches of all kinds except pods, which `pod_watch` adds to `pods`.
    pub(crate) fn new(
        mut watches: Watches,
        pods: Arc<Locked<Pods>>,
        pod_watch: Arc<Watches>,
    ) -> Self {
        let (changed, changes) = watch::channel(0);
        let (autoscalers, hpas) = (
            Arc::<Locked<Autoscalers>>::default(),
            Arc::<Locked<Hpas>>::default(),
        );
        let mut known = KnownIds::default();
        let kept = Arc::clone(&hpas);
        watches.add(move |event: Event<Slim<HpaObject>>| {
            known.changes(event, |change| kept.lock().take(change));
        });
        let mut known = KnownIds::default();
        let kept = Arc::clone(&autoscalers);
        watches.add(move |event: Event<ReplicaAutoscaler>| {
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

/// A value behind a lock, which a watch writes and others read.
#[derive(Default)]
pub(crate) struct Locked<S>(Mutex<S>);

impl<S> Locked<S> {
    /// Locks the value. Ignores poisoning: a panic while it was locked left at worst
    /// one outdated object.
    pub(crate) fn lock(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
