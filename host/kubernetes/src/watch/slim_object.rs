//! Slim objects as kube's watcher reads them.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use flyball_decision::text;
use flyball_placement::Name;
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::value::RawValue;

use super::changes::Watched;
use crate::identity::{Identified, Identity};
use crate::slim::ObjectMetadata;

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
                    object: Err(text::message(problem.to_string()).into()),
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
