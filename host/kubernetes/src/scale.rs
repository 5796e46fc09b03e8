//! The scale subresource of any kind, found through the API server's discovery.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use flyball_core::ports::{ObjectKey, ObservationError, Scale};
use flyball_core::replica::GrantedInput;
use flyball_core::spec::CrossVersionObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, ApiCapabilities, ApiResource};
use kube::{Api, Client};
use serde_json::json;

use crate::request::{RequestError, answer};

/// How often a write is tried: a rollout changes its object many times a second.
const TRIES: usize = 5;

/// Reads and writes the scales of targets.
#[derive(Clone)]
pub(crate) struct Scales {
    client: Client,
    /// By apiVersion and kind; what is unknown is asked for again each time.
    kinds: Arc<Mutex<HashMap<(String, String), ApiResource>>>,
}

impl Scales {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            kinds: Arc::default(),
        }
    }

    /// The scale of a target.
    pub(crate) async fn get(
        &self,
        namespace: &str,
        target: &CrossVersionObjectReference,
    ) -> Result<Scale, ObservationError> {
        let api = self.api(namespace, target).await?;
        let scale = answer(api.get_scale(&target.name)).await;
        let scale = scale.map_err(|error| {
            if matches!(error, RequestError::NotFound(_)) {
                // The kind itself may be gone, or come back another.
                self.forget(target);
            }
            unavailable(target, error.message())
        })?;
        Ok(read(scale))
    }

    /// Sets the replicas of a target, unless somebody else did since `from` was
    /// read. That other fields changed meanwhile is no hindrance.
    pub(crate) async fn set(
        &self,
        key: &ObjectKey,
        target: &CrossVersionObjectReference,
        from: &Scale,
        replicas: i32,
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

    /// Labels and annotations of a target.
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
        let key = (target.api_version.clone(), target.kind.clone());
        let known = self.lock().get(&key).cloned();
        let kind = match known {
            Some(kind) => kind,
            None => {
                let kind = self.discover(target).await?;
                self.lock().insert(key, kind.clone());
                kind
            }
        };
        Ok(Api::namespaced_with(self.client.clone(), namespace, &kind))
    }

    async fn discover(
        &self,
        target: &CrossVersionObjectReference,
    ) -> Result<ApiResource, ObservationError> {
        let gvk = parse_kind(target)?;
        let pinned = answer(discovery::pinned_kind(&self.client, &gvk)).await;
        let found = match pinned {
            Ok(found) => Some(found),
            // As with a HorizontalPodAutoscaler, any version of the group will do.
            Err(_) => match answer(discovery::group(&self.client, &gvk.group)).await {
                Ok(group) => group
                    .resources_by_stability()
                    .into_iter()
                    .find(|(resource, _)| resource.kind == gvk.kind),
                Err(RequestError::Other(message)) if !message.contains("Missing Api Group") => {
                    return Err(unavailable(target, &message));
                }
                Err(_) => None,
            },
        };
        match found {
            Some((resource, capabilities)) if has_scale(&capabilities) => Ok(resource),
            Some(_) => Err(unavailable(target, "the kind has no scale subresource")),
            None => Err(ObservationError {
                class: "unknownTargetKind",
                message: format!(
                    "no matches for kind {:?} in group {:?}",
                    gvk.kind, gvk.group
                ),
            }),
        }
    }

    fn forget(&self, target: &CrossVersionObjectReference) {
        self.lock()
            .remove(&(target.api_version.clone(), target.kind.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), ApiResource>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse_kind(target: &CrossVersionObjectReference) -> Result<GroupVersionKind, ObservationError> {
    let parts: Vec<&str> = target.api_version.split('/').collect();
    match parts.as_slice() {
        [""] => Ok(GroupVersionKind::gvk("", "v1", &target.kind)),
        [version] => Ok(GroupVersionKind::gvk("", version, &target.kind)),
        [group, version] => Ok(GroupVersionKind::gvk(group, version, &target.kind)),
        _ => Err(ObservationError {
            class: "invalidTargetAPIVersion",
            message: format!(
                "invalid API version in scale target reference: {:?} is not GROUP/VERSION",
                target.api_version
            ),
        }),
    }
}

fn has_scale(capabilities: &ApiCapabilities) -> bool {
    capabilities
        .subresources
        .iter()
        .any(|(resource, _)| resource.plural == "scale")
}

/// The scale of a target that can't be read.
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
