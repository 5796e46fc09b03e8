//! The scale subresource of any kind.

use flyball_decision::context::GrantedInput;
use flyball_decision::key::ObjectKey;
use flyball_replicas::ports::{ObservationError, Scale};
use flyball_replicas::spec::CrossVersionObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::kinds::{KindError, Kinds};
use crate::request::{RequestError, answer};

/// Number of tries of a write: a rollout changes its object many times a second.
const TRIES: usize = 5;

/// Reads and writes the scales of targets.
#[derive(Clone)]
pub(crate) struct Scales {
    client: Client,
    kinds: Kinds,
}

impl Scales {
    pub(crate) fn new(client: Client, kinds: Kinds) -> Self {
        Self { client, kinds }
    }

    /// Reads the scale of a target.
    pub(crate) async fn get(
        &self,
        namespace: &str,
        target: &CrossVersionObjectReference,
    ) -> Result<Scale, ObservationError> {
        let api = self.api(namespace, target).await?;
        let scale = answer(api.get_scale(&target.name)).await;
        let scale = scale.map_err(|error| {
            if matches!(error, RequestError::NotFound(_)) {
                // The kind itself may be gone or served differently.
                self.kinds.forget(&target.api_version, &target.kind);
            }
            unavailable(target, error.message())
        })?;
        Ok(read(scale))
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
        let CrossVersionObjectReference { kind, name, .. } = target;
        let failed = |problem: &str| {
            format!(
                "the scale of {kind} {}/{name} was not written: {problem}",
                key.namespace
            )
        };
        let api = self
            .api(&key.namespace, target)
            .await
            .map_err(|error| failed(&error.message))?;
        let mut version = from.resource_version.clone();
        for _ in 0..TRIES {
            if !leads() {
                return Err("not the leader: nothing is written".to_owned());
            }
            match patch(&api, name, &version, replicas).await {
                Err(RequestError::Conflict(_)) => {}
                result => return result.map_err(|error| failed(error.message())),
            }
            let now = answer(api.get_scale(name)).await;
            let now = read(now.map_err(|error| failed(error.message()))?);
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
        let metadata = match self.api(namespace, target).await {
            Ok(api) => answer(api.get_metadata(&target.name))
                .await
                .map(|object| object.metadata)
                .map_err(|error| error.message().to_owned()),
            Err(error) => Err(error.message),
        };
        match metadata {
            Ok(ObjectMeta {
                labels,
                annotations,
                ..
            }) => (
                granted(labels.unwrap_or_default()),
                granted(annotations.unwrap_or_default()),
            ),
            Err(error) => {
                let missing = GrantedInput {
                    error,
                    ..GrantedInput::default()
                };
                (missing.clone(), missing)
            }
        }
    }

    async fn api(
        &self,
        namespace: &str,
        target: &CrossVersionObjectReference,
    ) -> Result<Api<DynamicObject>, ObservationError> {
        let kind = self
            .kinds
            .get_scalable(&target.api_version, &target.kind)
            .await;
        let kind = kind.map_err(|error| unknown_kind(target, &error))?;
        if !kind.has_scale {
            return Err(unavailable(target, "the kind has no scale subresource"));
        }
        let client = self.client.clone();
        Ok(Api::namespaced_with(client, namespace, &kind.resource))
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

fn read(scale: k8s_openapi::api::autoscaling::v1::Scale) -> Scale {
    let status = scale.status.unwrap_or_default();
    Scale {
        spec_replicas: scale
            .spec
            .and_then(|spec| spec.replicas)
            .unwrap_or_default(),
        status_replicas: status.replicas,
        selector: status.selector.unwrap_or_default().into(),
        resource_version: scale.metadata.resource_version.unwrap_or_default().into(),
    }
}

async fn patch(
    api: &Api<DynamicObject>,
    name: &str,
    resource_version: &str,
    replicas: i32,
) -> Result<(), RequestError> {
    let patch = json!({
        "metadata": { "resourceVersion": resource_version },
        "spec": { "replicas": replicas },
    });
    answer(api.patch_scale(name, &PatchParams::default(), &Patch::Merge(patch))).await?;
    Ok(())
}

fn granted(values: std::collections::BTreeMap<String, String>) -> GrantedInput {
    let (keys, texts) = values.into_iter().unzip();
    GrantedInput {
        keys,
        texts,
        ..GrantedInput::default()
    }
}
