//! The replica half's cache of pods. Pods of one template share labels and requests; a
//! pod takes about 70 bytes besides its name.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::Arc;

use flyball_decision::time::{self, Timestamp};
use flyball_placement::Name;
use flyball_replicas::labels::{LabelSets, Labels};
use flyball_replicas::pods::{Phase, Pod, PodRequests, Ready};
use flyball_replicas::rows;
use flyball_replicas::selector::Selector;
use hashbrown::{DefaultHashBuilder, HashTable};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use kube::runtime::watcher::Event;

use crate::slim::PodObject;
use crate::watch::Slim;

/// All pods, by namespace and labels.
#[derive(Default)]
pub struct Pods {
    namespaces: HashMap<Name, Namespace>,
    requests: HashSet<Arc<PodRequests>>,
    texts: HashSet<Name>,
    /// Number of shared values from which on unused ones are dropped.
    sweep_at: usize,
    /// Number of the latest list. If it wraps around, pods of different lists can only
    /// be confused when no list in between was complete.
    list: u16,
}

/// Number of shared values below which nothing is dropped.
const SWEEP_MINIMUM: usize = 1024;

#[derive(Default)]
struct Namespace {
    slots: Slots,
    /// Slots by the name of their pod.
    by_name: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Slots by the labels of their pod, unordered.
    by_labels: LabelSets<Vec<u32>>,
    /// Number of ready pods.
    ready: usize,
    /// The last result of each selector, returned again while it is unchanged.
    selected: HashMap<String, Arc<[Pod]>>,
    /// Rows of these results: one for each pod, and those of the selectors' texts.
    rows_selected: usize,
}

/// A compact [`Pod`]. Times are encoded by [`time::column`], which halves their size.
struct CompactPod {
    name: Name,
    labels: Arc<Labels>,
    /// Index among the slots of its labels.
    place: u32,
    /// Number of the latest list at the time of its last event.
    list: u16,
    requests: Arc<PodRequests>,
    start: i64,
    deletion: i64,
    ready_since: i64,
    phase: Phase,
    ready: Option<Ready>,
}

impl Pods {
    /// Applies an event of the watch of pods.
    pub(crate) fn take(&mut self, event: &Event<Slim<PodObject>>) {
        match event {
            Event::Init => self.list = self.list.wrapping_add(1),
            Event::InitApply(pod) | Event::Apply(pod) => match &pod.object {
                Ok(pod) => self.apply(pod),
                Err(_) => self.keep(pod.meta()),
            },
            Event::InitDone => self.delete_unlisted(),
            Event::Delete(pod) => self.delete(pod.meta()),
        }
    }

    /// Returns the pods with these label sets, which a selector matches, ordered by name.
    /// Returns the same `Arc` as before for the same text of the selector if they are
    /// unchanged.
    pub fn select(
        &mut self,
        namespace: &str,
        text: &str,
        label_sets: &[Arc<Labels>],
    ) -> Arc<[Pod]> {
        let Some(namespace) = self.namespaces.get_mut(namespace) else {
            return Arc::new([]);
        };
        let found = namespace.select(label_sets);
        let known = namespace.selected.get(text);
        if let Some(known) = known
            && known.len() == found.len()
            && known.iter().zip(&found).all(|(known, pod)| pod.is(known))
        {
            return known.clone();
        }
        let pods: Arc<[Pod]> = found.into_iter().map(CompactPod::pod).collect();
        namespace.keep(text, &pods);
        pods
    }

    /// Returns the number of pods of a namespace.
    pub(crate) fn count(&self, namespace: &str) -> usize {
        let namespace = self.namespaces.get(namespace);
        namespace.map_or(0, |namespace| namespace.by_name.len())
    }

    /// Returns the number of pods of a namespace that are ready and are not being deleted.
    pub(crate) fn count_ready(&self, namespace: &str) -> usize {
        let namespace = self.namespaces.get(namespace);
        namespace.map_or(0, |namespace| namespace.ready)
    }

    /// Returns the number of pods with these label sets.
    pub(crate) fn count_with(&self, namespace: &str, label_sets: &[Arc<Labels>]) -> usize {
        let Some(namespace) = self.namespaces.get(namespace) else {
            return 0;
        };
        let slots = label_sets.iter();
        let slots = slots.filter_map(|labels| namespace.by_labels.get(labels));
        slots.map(Vec::len).sum()
    }

    /// Returns how many comparisons [`Self::label_sets`] makes at most.
    pub(crate) fn cost_of_label_sets(&self, namespace: &str, selector: &Selector) -> usize {
        let namespace = self.namespaces.get(namespace);
        namespace.map_or(0, |n| n.by_labels.cost_of_matching(selector))
    }

    /// Returns the distinct label sets of the pods that a selector matches.
    #[must_use]
    pub fn label_sets(&self, namespace: &str, selector: &Selector) -> Vec<Arc<Labels>> {
        let namespace = self.namespaces.get(namespace);
        namespace
            .map(|n| {
                n.by_labels
                    .matching(selector)
                    .into_iter()
                    .cloned()
                    .collect()
            })
            .unwrap_or_default()
    }

    /// Applies a pod as a list or a watch has it.
    pub fn apply(&mut self, object: &PodObject) {
        let metadata = &object.metadata;
        let labels = metadata.labels.iter();
        let labels = labels
            .map(|(key, value)| (self.shared_text(key), self.shared_text(value)))
            .collect();
        let ready = object.ready();
        let requests = self.requests(object);
        let namespace = self.shared_text(&metadata.namespace);
        let namespace = self.namespaces.entry(namespace).or_default();
        namespace.remove(&metadata.name);
        let labels = namespace.by_labels.share(labels);
        namespace.insert(CompactPod {
            name: metadata.name.clone(),
            labels,
            place: 0,
            list: self.list,
            requests,
            start: time::column(object.start()),
            deletion: time::column(object.deletion()),
            ready_since: time::column(ready.and_then(|(_, since)| since)),
            phase: object.phase(),
            ready: ready.map(|(ready, _)| ready),
        });
        self.sweep();
    }

    fn delete(&mut self, metadata: &ObjectMeta) {
        let (key, name) = key(metadata);
        let Some(namespace) = self.namespaces.get_mut(key) else {
            return;
        };
        namespace.remove(name);
        if namespace.by_name.is_empty() {
            self.namespaces.remove(key);
        }
    }

    /// Keeps a pod that the latest list contains and that can't be read, as it was known
    /// before.
    fn keep(&mut self, metadata: &ObjectMeta) {
        let (list, (namespace, name)) = (self.list, key(metadata));
        let namespace = self.namespaces.get_mut(namespace);
        if let Some(pod) = namespace.and_then(|namespace| namespace.get_mut(name)) {
            pod.list = list;
        }
    }

    /// Deletes the pods that the latest list did not contain.
    fn delete_unlisted(&mut self) {
        let latest = self.list;
        self.namespaces.retain(|_, namespace| {
            let gone = namespace.slots.pods().filter(|pod| pod.list != latest);
            let gone: Vec<Name> = gone.map(|pod| pod.name.clone()).collect();
            for name in &gone {
                namespace.remove(name);
            }
            !namespace.by_name.is_empty()
        });
    }

    /// Drops unused shared values, each time their number has doubled.
    fn sweep(&mut self) {
        if self.texts.len() + self.requests.len() > self.sweep_at.max(SWEEP_MINIMUM) {
            self.requests
                .retain(|requests| Arc::strong_count(requests) > 1);
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = 2 * (self.texts.len() + self.requests.len());
        }
    }

    fn shared_text(&mut self, text: &Name) -> Name {
        share(&mut self.texts, text)
    }

    fn requests(&mut self, object: &PodObject) -> Arc<PodRequests> {
        let texts = &mut self.texts;
        let requests = object.requests(&mut |text| share(texts, text));
        if let Some(known) = self.requests.get(&requests) {
            return known.clone();
        }
        let requests = Arc::new(requests);
        self.requests.insert(requests.clone());
        requests
    }
}

/// Returns namespace and name.
fn key(metadata: &ObjectMeta) -> (&str, &str) {
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    (namespace.unwrap_or_default(), name.unwrap_or_default())
}

fn share(texts: &mut HashSet<Name>, text: &Name) -> Name {
    if let Some(known) = texts.get(text) {
        return known.clone();
    }
    texts.insert(text.clone());
    text.clone()
}

impl Namespace {
    /// Returns the pods with these label sets, ordered by name.
    fn select(&self, label_sets: &[Arc<Labels>]) -> Vec<&CompactPod> {
        let slots = label_sets.iter();
        let slots = slots.filter_map(|labels| self.by_labels.get(labels));
        let pods = slots.flatten().filter_map(|&slot| self.slots.get(slot));
        let mut pods: Vec<_> = pods.collect();
        pods.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        pods
    }

    /// Keeps the result of a selector. If the results have too many rows, they are made
    /// anew from now on.
    fn keep(&mut self, text: &str, pods: &Arc<[Pod]>) {
        let rows_of = |pods: &Arc<[Pod]>| 1 + text.len() / rows::ROW_BYTES + pods.len();
        let rows = rows_of(pods);
        if self.rows_selected + rows > rows::limit(self.by_name.len()) {
            self.selected.clear();
            self.rows_selected = 0;
        }
        self.rows_selected += rows;
        let before = self.selected.insert(text.to_owned(), Arc::clone(pods));
        self.rows_selected -= before.map_or(0, |pods| rows_of(&pods));
    }

    /// Inserts a pod. There must be none of its name.
    fn insert(&mut self, mut pod: CompactPod) {
        self.ready += usize::from(pod.is_ready());
        let slot = self.slots.free();
        if let Some(alike) = self.by_labels.get_mut(&pod.labels) {
            pod.place = u32::try_from(alike.len()).unwrap_or(u32::MAX);
            alike.push(slot);
        }
        let hash = self.hasher.hash_one(&pod.name);
        self.slots.put(slot, pod);
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |&slot: &u32| slots.get(slot).map_or(0, |pod| hasher.hash_one(&pod.name));
        self.by_name.insert_unique(hash, slot, rehash);
    }

    /// Returns the pod of this name, if there is one.
    fn get_mut(&mut self, name: &str) -> Option<&mut CompactPod> {
        let slots = &self.slots;
        let is_it = |&slot: &u32| slots.get(slot).is_some_and(|pod| *pod.name == *name);
        let slot = *self.by_name.find(self.hasher.hash_one(name), is_it)?;
        self.slots.get_mut(slot)
    }

    /// Removes the pod of this name, if there is one.
    fn remove(&mut self, name: &str) {
        let slots = &self.slots;
        let is_it = |&slot: &u32| slots.get(slot).is_some_and(|pod| *pod.name == *name);
        let hash = self.hasher.hash_one(name);
        let Ok(entry) = self.by_name.find_entry(hash, is_it) else {
            return;
        };
        let (slot, _) = entry.remove();
        let Some(pod) = self.slots.take(slot) else {
            return;
        };
        self.ready -= usize::from(pod.is_ready());
        let Some(alike) = self.by_labels.get_mut(&pod.labels) else {
            return;
        };
        alike.swap_remove(pod.place as usize);
        let moved = alike.get(pod.place as usize).copied();
        if alike.is_empty() {
            self.by_labels.remove(&pod.labels);
        }
        let moved = moved.and_then(|moved| self.slots.get_mut(moved));
        if let Some(moved) = moved {
            moved.place = pod.place;
        }
    }
}

/// Pods by slot, in chunks: a single `Vec` would take twice its memory whenever it
/// grows.
#[derive(Default)]
struct Slots {
    chunks: Vec<Vec<Option<CompactPod>>>,
    unused: Vec<u32>,
}

const CHUNK: usize = 1024;

impl Slots {
    fn get(&self, slot: u32) -> Option<&CompactPod> {
        let slot = slot as usize;
        self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)?.as_ref()
    }

    fn get_mut(&mut self, slot: u32) -> Option<&mut CompactPod> {
        self.place(slot)?.as_mut()
    }

    fn place(&mut self, slot: u32) -> Option<&mut Option<CompactPod>> {
        let slot = slot as usize;
        self.chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)
    }

    /// Returns all pods, unordered.
    fn pods(&self) -> impl Iterator<Item = &CompactPod> {
        self.chunks.iter().flatten().flatten()
    }

    /// Returns an unused slot.
    fn free(&mut self) -> u32 {
        if let Some(slot) = self.unused.pop() {
            return slot;
        }
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            self.chunks.push(Vec::new());
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let last = self.chunks.last_mut();
        let slot = last.map_or(before, |last| {
            last.push(None);
            before + last.len() - 1
        });
        u32::try_from(slot).unwrap_or(u32::MAX)
    }

    fn put(&mut self, slot: u32, pod: CompactPod) {
        if let Some(place) = self.place(slot) {
            *place = Some(pod);
        }
    }

    fn take(&mut self, slot: u32) -> Option<CompactPod> {
        let pod = self.place(slot)?.take()?;
        self.unused.push(slot);
        Some(pod)
    }
}

impl CompactPod {
    fn pod(&self) -> Pod {
        Pod {
            name: self.name.clone(),
            phase: self.phase,
            ready: self.ready.map(|ready| (ready, at(self.ready_since))),
            start: at(self.start),
            deletion: at(self.deletion),
            requests: self.requests.clone(),
        }
    }

    /// Whether it is a ready replica of a target that selects it.
    fn is_ready(&self) -> bool {
        self.ready == Some(Ready::True) && at(self.deletion).is_none()
    }

    /// Whether it is unchanged since `pod` was made from it.
    fn is(&self, pod: &Pod) -> bool {
        self.name == pod.name
            && self.phase == pod.phase
            && self.ready.map(|ready| (ready, at(self.ready_since))) == pod.ready
            && at(self.start) == pod.start
            && at(self.deletion) == pod.deletion
            && self.requests == pod.requests
    }
}

fn at(column: i64) -> Option<Timestamp> {
    (column != Timestamp::UNKNOWN).then_some(Timestamp(column))
}

#[cfg(test)]
mod tests;
