//! What the events of a watch change.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;

use flyball_placement::Name;
use kube::Resource;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;

/// A kind that can be watched. An object whose content can't be read is read with its
/// metadata alone, so that it does not affect others of its list.
pub(crate) trait Watched:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
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
