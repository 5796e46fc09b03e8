//! Requests to the custom and external metrics APIs.

use flyball_kubernetes::Kinds;
use flyball_kubernetes::request::{ANSWER, RequestError, encode, get, segment};
use flyball_replicas::ports::{MetricAnswer, ObservationError};
use flyball_replicas::spec::{CrossVersionObjectReference, api_group};
use kube::Client;

use crate::quantity_list::{ValueList, external_values, object_value, pod_samples};
use crate::unavailable;

/// Versions of the custom metrics API, newest first. Adapters serve at least one of
/// them.
const CUSTOM_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];

/// Identifies a response. Equal values are fetched once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MetricPath {
    source: Source,
    /// Path after the API's version.
    path: String,
    query: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Source {
    Pods,
    /// An object of this kind. Its plural is discovered when it is fetched.
    Object {
        api_version: String,
        kind: String,
    },
    External,
}

impl MetricPath {
    /// Returns the path of a metric of the pods that `pods` selects.
    ///
    /// # Errors
    /// If the metric's name is not one segment of a path.
    pub(crate) fn pods(
        namespace: &str,
        pods: &str,
        metric: &str,
        selector: Option<&str>,
    ) -> Result<Self, ObservationError> {
        let mut query = format!("labelSelector={}", encode(pods));
        if let Some(selector) = selector {
            query = format!("{query}&metricLabelSelector={}", encode(selector));
        }
        Ok(Self {
            source: Source::Pods,
            path: format!("namespaces/{namespace}/pods/*/{}", part("metric", metric)?),
            query,
        })
    }

    /// Returns the path of a metric of one object. As in Kubernetes, the name of a Namespace
    /// does not count: its object is the autoscaler's own namespace.
    ///
    /// # Errors
    /// If a name is not one segment of a path.
    pub(crate) fn object(
        namespace: &str,
        object: &CrossVersionObjectReference,
        metric: &str,
        selector: Option<&str>,
    ) -> Result<Self, ObservationError> {
        let query = selector
            .map(|selector| format!("metricLabelSelector={}", encode(selector)))
            .unwrap_or_default();
        let name = part("described object", &object.name)?;
        let metric = part("metric", metric)?;
        let path = if object.kind == "Namespace" && object.group().is_empty() {
            format!("namespaces/{namespace}/metrics/{metric}")
        } else {
            format!("namespaces/{namespace}/{PLURAL}/{name}/{metric}")
        };
        let (api_version, kind) = (object.api_version.clone(), object.kind.clone());
        Ok(Self {
            source: Source::Object { api_version, kind },
            path,
            query,
        })
    }

    /// Returns the path of a metric from outside the cluster.
    ///
    /// # Errors
    /// If the metric's name is not one segment of a path.
    pub(crate) fn external(
        namespace: &str,
        metric: &str,
        selector: Option<&str>,
    ) -> Result<Self, ObservationError> {
        let query = selector
            .map(|selector| format!("labelSelector={}", encode(selector)))
            .unwrap_or_default();
        Ok(Self {
            source: Source::External,
            path: format!("namespaces/{namespace}/{}", part("metric", metric)?),
            query,
        })
    }

    /// Fetches the response.
    pub(crate) async fn fetch(
        &self,
        client: &Client,
        kinds: &Kinds,
    ) -> Result<MetricAnswer, ObservationError> {
        match &self.source {
            Source::Pods => {
                let list = self.custom(client, &self.path).await?;
                list.warn_of_unreadable(&self.path);
                pod_samples(list)
            }
            Source::Object { api_version, kind } => {
                let plural = plural(kinds, api_version, kind).await?;
                let path = self.path.replace(PLURAL, &plural);
                object_value(&self.custom(client, &path).await?)
            }
            Source::External => {
                let path = format!("/apis/external.metrics.k8s.io/v1beta1/{}", self.path);
                let list = get(client, &path, &self.query, ANSWER).await;
                external_values(&list.map_err(|error| failed("external", &error))?)
            }
        }
    }

    async fn custom(&self, client: &Client, path: &str) -> Result<ValueList, ObservationError> {
        let mut first = None;
        for version in CUSTOM_VERSIONS {
            let path = format!("/apis/custom.metrics.k8s.io/{version}/{path}");
            match get(client, &path, &self.query, ANSWER).await {
                Ok(list) => return Ok(list),
                // An adapter's own error is more helpful than that a version is not
                // served.
                Err(error @ RequestError::NotFound(_)) if error.message().trim() == NOT_SERVED => {
                    first.get_or_insert(error);
                }
                Err(error @ RequestError::NotFound(_)) => first = Some(error),
                Err(error) => return Err(failed("custom", &error)),
            }
        }
        Err(first.map_or_else(
            || unavailable("no version of the custom metrics API is known"),
            |error| failed("custom", &error),
        ))
    }
}

/// The API server's message for paths of an API that is not served.
const NOT_SERVED: &str = "404 page not found";

/// Placeholder for the plural of a kind until it is known.
const PLURAL: &str = "{plural}";

/// Returns the plural of a kind, for paths.
async fn plural(kinds: &Kinds, api_version: &str, kind: &str) -> Result<String, ObservationError> {
    let found = kinds.get(api_version, kind).await.map_err(|error| {
        unavailable(format!(
            "the kind {kind} of {api_version} is not known: {error}"
        ))
    })?;
    let plural = found.resource.plural;
    Ok(match api_group(api_version) {
        "" => plural,
        group => format!("{plural}.{group}"),
    })
}

/// Returns a name of a spec as one segment of a path. `what` it names is for the error.
fn part(what: &str, name: &str) -> Result<String, ObservationError> {
    segment(name).map_err(|fault| unavailable(format!("the name of the {what} {fault}")))
}

fn failed(api: &str, error: &RequestError) -> ObservationError {
    unavailable(format!(
        "unable to fetch metrics from {api} metrics API: {}",
        error.message()
    ))
}
