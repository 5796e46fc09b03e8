//! The scale subresource of any kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use flyball_decision::context::GrantedInput;
use flyball_decision::key::ObjectKey;
use flyball_replicas::ports::{ObservationError, Scale};
use flyball_replicas::selector::Selector;
use flyball_replicas::spec::CrossVersionObjectReference;
use k8s_openapi::api::autoscaling::v1 as autoscaling;
use kube::api::{DynamicObject, GetParams, Patch, PatchParams};
use kube::core::Request;
use kube::{Client, Resource as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::kinds::{KindError, Kinds};
use crate::request::{RequestError, segment, send};

/// Number of tries of a write: a rollout changes its object many times a second.
const TRIES: usize = 5;

/// Maximum size of a resource version. Those of Kubernetes have 20 bytes at most.
const RESOURCE_VERSION_BYTES: usize = 256;

/// Reads and writes the scales of targets.
#[derive(Clone)]
pub(crate) struct Scales {
    client: Client,
    kinds: Kinds,
    /// Kinds whose labels and annotations may not be read, as far as that was logged.
    unreadable: Arc<Mutex<BTreeSet<String>>>,
}

impl Scales {
    pub(crate) fn new(client: Client, kinds: Kinds) -> Self {
        Self {
            client,
            kinds,
            unreadable: Arc::default(),
        }
    }

    /// Reads the scale of a target.
    pub(crate) async fn get(
        &self,
        namespace: &str,
        target: &CrossVersionObjectReference,
    ) -> Result<Scale, ObservationError> {
        let path = self.path(namespace, target).await?;
        let scale = path.scale(&self.client).await;
        let scale = scale.map_err(|error| {
            if matches!(error, RequestError::NotFound(_)) {
                // The kind itself may be gone or served differently.
                self.kinds.forget(&target.api_version, &target.kind);
            }
            unavailable(target, error.message())
        })?;
        read(scale).map_err(|problem| unavailable(target, &problem))
    }

    /// Sets the replicas of a target, unless someone else changed them since `from` was
    /// read. Changes of other fields don't matter. Before each try, `leads` says whether
    /// this process may still write.
    pub(crate) async fn set(
        &self,
        key: &ObjectKey,
        target: &CrossVersionObjectReference,
        from: &Scale,
        replicas: i32,
        leads: impl Fn() -> bool,
    ) -> Result<(), String> {
        let failed = |problem: &str| unwritten(key, target, problem);
        let path = self.path(&key.namespace, target).await;
        let path = path.map_err(|error| failed(&error.message))?;
        let mut version = from.resource_version.clone();
        for _ in 0..TRIES {
            if !leads() {
                return Err("not the leader: nothing is written".to_owned());
            }
            match path.patch(&self.client, &version, replicas).await {
                Err(RequestError::Conflict(_)) => {}
                result => return result.map_err(|error| failed(error.message())),
            }
            let now = path.scale(&self.client).await;
            let now = now.map_err(|error| failed(error.message()))?;
            let now = read(now).map_err(|problem| failed(&problem))?;
            if now.spec_replicas != from.spec_replicas {
                return Err(failed(&format!(
                    "its replicas were changed meanwhile, from {} to {}",
                    from.spec_replicas, now.spec_replicas
                )));
            }
            version = now.resource_version;
        }
        Err(failed("others change it all the time"))
    }

    /// Reads the labels and annotations of a target.
    pub(crate) async fn metadata(
        &self,
        namespace: &str,
        target: &CrossVersionObjectReference,
    ) -> (GrantedInput, GrantedInput) {
        let metadata = match self.path(namespace, target).await {
            Ok(path) => path.metadata(&self.client).await,
            Err(error) => Err(RequestError::Other(error.message)),
        };
        let metadata = metadata.map_err(|error| error.message().to_owned());
        match metadata {
            Ok(Texts {
                labels,
                annotations,
            }) => (granted(labels), granted(annotations)),
            Err(error) => {
                self.name_missing_right(&target.kind, &error);
                let missing = GrantedInput {
                    error,
                    ..GrantedInput::default()
                };
                (missing.clone(), missing)
            }
        }
    }

    /// Logs, once for each kind, that its labels and annotations may not be read.
    fn name_missing_right(&self, kind: &str, error: &str) {
        let is_new = || {
            let known = self.unreadable.lock();
            let mut known = known.unwrap_or_else(PoisonError::into_inner);
            known.insert(kind.to_owned())
        };
        if error.contains("is forbidden") && is_new() {
            tracing::warn!(
                kind, %error,
                "a policy wants labels or annotations of targets, and a right to get them is missing"
            );
        }
    }

    async fn path(
        &self,
        namespace: &str,
        target: &CrossVersionObjectReference,
    ) -> Result<Path, ObservationError> {
        let name = segment(&target.name)
            .map_err(|fault| unavailable(target, &format!("its name {fault}")))?;
        let kind = self
            .kinds
            .get_scalable(&target.api_version, &target.kind)
            .await;
        let kind = kind.map_err(|error| unknown_kind(target, &error))?;
        if !kind.has_scale {
            return Err(unavailable(target, "the kind has no scale subresource"));
        }
        Ok(Path {
            collection: DynamicObject::url_path(&kind.resource, Some(namespace)),
            name,
        })
    }
}

/// The path of an object.
struct Path {
    collection: String,
    /// One segment, percent-encoded.
    name: String,
}

/// Labels and annotations of an object. The rest of its metadata is not read: it may be
/// nested too deeply.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Texts {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct PartialObject {
    metadata: Texts,
}

impl Path {
    fn request(&self) -> Request {
        Request::new(&self.collection)
    }

    async fn scale(&self, client: &Client) -> Result<autoscaling::Scale, RequestError> {
        send(client, self.request().get_subresource("scale", &self.name)).await
    }

    async fn patch(
        &self,
        client: &Client,
        resource_version: &str,
        replicas: i32,
    ) -> Result<(), RequestError> {
        let patch = Patch::Merge(json!({
            "metadata": { "resourceVersion": resource_version },
            "spec": { "replicas": replicas },
        }));
        let parameters = PatchParams::default();
        let request = self.request();
        let request = request.patch_subresource("scale", &self.name, &parameters, &patch);
        send::<IgnoredAny>(client, request).await?;
        Ok(())
    }

    async fn metadata(&self, client: &Client) -> Result<Texts, RequestError> {
        let request = self
            .request()
            .get_metadata(&self.name, &GetParams::default());
        let object: PartialObject = send(client, request).await?;
        Ok(object.metadata)
    }
}

fn unknown_kind(target: &CrossVersionObjectReference, error: &KindError) -> ObservationError {
    match error {
        KindError::InvalidVersion(_) => ObservationError {
            class: "invalidTargetAPIVersion",
            message: format!("invalid API version in scale target reference: {error}"),
        },
        KindError::Unknown { .. } => ObservationError {
            class: "unknownTargetKind",
            message: error.to_string(),
        },
        KindError::Unavailable(problem) => unavailable(target, problem),
    }
}

/// Returns the error for a scale that can't be read.
pub(crate) fn unavailable(target: &CrossVersionObjectReference, problem: &str) -> ObservationError {
    let CrossVersionObjectReference { kind, name, .. } = target;
    ObservationError {
        class: "scaleUnavailable",
        message: format!("the scale of {kind} {name:?} can't be read: {problem}"),
    }
}

/// Returns the message about a scale that was not written.
pub(crate) fn unwritten(
    key: &ObjectKey,
    target: &CrossVersionObjectReference,
    problem: &str,
) -> String {
    let CrossVersionObjectReference { kind, name, .. } = target;
    let namespace = &key.namespace;
    format!("the scale of {kind} {namespace}/{name} was not written: {problem}")
}

/// Reads a scale. A selector that is too long is an error later, when it is parsed: each
/// object that names the target has a copy until then.
///
/// # Errors
/// If its resource version is too long.
fn read(scale: autoscaling::Scale) -> Result<Scale, String> {
    let status = scale.status.unwrap_or_default();
    let resource_version = scale.metadata.resource_version.unwrap_or_default();
    if resource_version.len() > RESOURCE_VERSION_BYTES {
        return Err(format!(
            "its resourceVersion has more than {RESOURCE_VERSION_BYTES} bytes"
        ));
    }
    Ok(Scale {
        spec_replicas: scale
            .spec
            .and_then(|spec| spec.replicas)
            .unwrap_or_default(),
        status_replicas: status.replicas,
        selector: Selector::kept(status.selector.unwrap_or_default()),
        resource_version: resource_version.into(),
    })
}

fn granted(values: BTreeMap<String, String>) -> GrantedInput {
    let (keys, texts) = values.into_iter().unzip();
    GrantedInput {
        keys,
        texts,
        ..GrantedInput::default()
    }
}

#[cfg(test)]
mod tests;
