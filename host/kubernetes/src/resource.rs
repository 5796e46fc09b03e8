//! The API type of `ReplicaAutoscaler`.

use std::borrow::Cow;
use std::fmt::Write as _;

use flyball_decision::text;
use flyball_replicas::spec::AutoscalerSpec;
use flyball_replicas::status::AutoscalerStatus;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use crate::identity::Identity;
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
    /// Name, namespace, uid, generation and resource version.
    #[serde(deserialize_with = "identity")]
    pub metadata: ObjectMeta,
    /// The spec, or why it can't be read.
    #[serde(default = "no_spec", deserialize_with = "spec_or_error")]
    pub spec: Result<AutoscalerSpec, String>,
    /// The last written status, of bounded size: objects of a page of a list are in memory
    /// together.
    #[serde(default, deserialize_with = "status_or_default")]
    pub status: AutoscalerStatus,
}

fn identity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    Ok(Identity::deserialize(deserializer)?.into())
}

fn no_spec() -> Result<AutoscalerSpec, String> {
    Err("spec: it is missing".to_owned())
}

/// Reads a spec, or says in a message why it can't be read. Its text is read apart: a spec
/// that is nested too deeply would make the rest of the list unreadable.
fn spec_or_error<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Result<AutoscalerSpec, String>, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    Ok(read_spec(text.get()).map_err(text::message))
}

/// Maximum size of a spec's text, in bytes. The other limits allow less: some 730,000 as compact
/// JSON without escapes. They are checked after the text is parsed, and what is parsed may take
/// a hundred times as much memory as the text.
const MAX_SPEC_BYTES: usize = 768 << 10;

/// Reads a spec.
///
/// # Errors
/// The invalid field, and what is wrong with it.
fn read_spec(text: &str) -> Result<AutoscalerSpec, String> {
    let bytes = text.len();
    if bytes > MAX_SPEC_BYTES {
        return Err(format!(
            "spec: it has {bytes} bytes as JSON, at most {MAX_SPEC_BYTES} are allowed"
        ));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value: Value = serde_path_to_error::deserialize(&mut json).map_err(|e| field_error(&e))?;
    // Errors of a value have no line and column, which mean nothing to a reader of YAML.
    let spec: AutoscalerSpec =
        serde_path_to_error::deserialize(value).map_err(|error| field_error(&error))?;
    // The object may be older than the limits of the schema.
    spec.check_bounds()
        .map_err(|fault| format!("spec.{fault}"))?;
    Ok(spec)
}

/// Maximum number of segments of a path in an error.
const PATH_SEGMENTS: usize = 8;

/// Maximum size of such a segment, so that there is room for the problem after the path. Keys
/// of a configuration are segments.
const SEGMENT_BYTES: usize = 128;

/// Returns the invalid field and what is wrong with it.
fn field_error(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (path, problem) = (error.path(), error.inner());
    let mut field = "spec".to_owned();
    for segment in path.iter().take(PATH_SEGMENTS) {
        let separator = match segment {
            Segment::Seq { .. } => "",
            _ => ".",
        };
        let segment = text::within(segment.to_string(), SEGMENT_BYTES);
        // Writing to a String can't fail.
        let _ = write!(field, "{separator}{segment}");
    }
    let rest = match path.iter().len() > PATH_SEGMENTS {
        true => ".…",
        false => "",
    };
    format!("{field}{rest}: {problem}")
}

fn status_or_default<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<AutoscalerStatus, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    let status: StatusObject = serde_json::from_str(text.get()).unwrap_or_default();
    Ok(status.to_core())
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
