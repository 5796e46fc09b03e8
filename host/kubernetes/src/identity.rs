//! The metadata that identifies an object, without the rest of it.

use flyball_placement::Name;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use crate::slim::ObjectMetadata;

/// An object whose other fields are not read.
#[derive(Debug, Deserialize)]
pub(crate) struct Identified {
    pub(crate) metadata: Identity,
}

/// The metadata that identifies an object. Other metadata is not read: `managedFields` is
/// nested as deeply as what it manages, which may be deeper than a reader allows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Identity {
    name: Name,
    namespace: Name,
    uid: Name,
    resource_version: Option<String>,
    generation: Option<i64>,
}

impl Identity {
    /// Returns the identity that slim metadata has.
    pub(crate) fn of(metadata: &ObjectMetadata) -> Self {
        Self {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            generation: None,
        }
    }

    /// Returns slim metadata with this identity.
    pub(crate) fn slim(&self) -> ObjectMetadata {
        let (namespace, name) = (self.namespace.clone(), self.name.clone());
        ObjectMetadata::identified(namespace, name, self.uid.clone())
    }
}

impl From<Identity> for ObjectMeta {
    fn from(identity: Identity) -> Self {
        let text = |name: &Name| Some(name.to_string()).filter(|name| !name.is_empty());
        Self {
            name: text(&identity.name),
            namespace: text(&identity.namespace),
            uid: text(&identity.uid),
            resource_version: identity.resource_version,
            generation: identity.generation,
            ..Self::default()
        }
    }
}
