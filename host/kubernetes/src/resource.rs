//! The API type of `ReplicaAutoscaler`.

use std::borrow::Cow;

use flyball_replicas::spec::AutoscalerSpec;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use crate::status::StatusObject;

/// API group of Flyball's kinds.
pub const GROUP: &str = "flyball.dev";
/// Version of the group.
pub const VERSION: &str = "v1alpha1";
/// The kind.
pub const KIND: &str = "ReplicaAutoscaler";
/// The kind's name in paths.
pub const PLURAL: &str = "replicaautoscalers";
/// The kind's short name for kubectl.
pub const SHORT_NAME: &str = "ra";

/// A `ReplicaAutoscaler`. A spec that can't be read becomes an error and a status that
/// can't be read becomes empty, so that other objects of a list can be read.
#[derive(Clone, Debug, Deserialize)]
pub struct ReplicaAutoscaler {
    /// Name, namespace, uid, generation.
    pub metadata: ObjectMeta,
    /// The spec, or why it can't be read.
    #[serde(deserialize_with = "spec_or_error")]
    pub spec: Result<AutoscalerSpec, String>,
    /// The last written status.
    #[serde(default, deserialize_with = "status_or_default")]
    pub status: StatusObject,
}

fn spec_or_error<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Result<AutoscalerSpec, String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_path_to_error::deserialize(value).map_err(|error| field_error(&error)))
}

/// Returns the invalid field and what is wrong with it.
fn field_error(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let problem = error.inner();
    match error.path().iter().next() {
        Some(_) => format!("spec.{}: {problem}", error.path()),
        None => format!("spec: {problem}"),
    }
}

fn status_or_default<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<StatusObject, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(StatusObject::deserialize(value).unwrap_or_default())
}

/// A patch of a `ReplicaAutoscaler`'s status.
#[derive(Debug, Serialize)]
pub(crate) struct StatusPatch {
    pub metadata: PatchedObject,
    pub status: StatusObject,
}

/// Identifies the object of a patch by uid: another object of the same name is not
/// patched.
#[derive(Debug, Serialize)]
pub(crate) struct PatchedObject {
    pub uid: String,
}

/// Returns a reference to an autoscaler, for events.
pub(crate) fn object_reference(namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(api_version()),
        kind: Some(KIND.to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

fn api_version() -> String {
    format!("{GROUP}/{VERSION}")
}

impl Resource for ReplicaAutoscaler {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
