//! Requests to the custom and external metrics APIs.

use flyball_kubernetes::Kinds;
use flyball_kubernetes::request::{RequestError, get};
use flyball_replicas::ports::{MetricAnswer, ObservationError};
use flyball_replicas::spec::{CrossVersionObjectReference, api_group};
use kube::Client;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::quantity_list::{ValueList, external_values, object_value, pod_samples};
use crate::unavailable;

/// Versions of the custom metrics API, newest first. Adapters serve at least one of
/// them.
const CUSTOM_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];

/// Identifies a response. Equal values are fetched once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MetricPath {
    source: Source,
    /// Path after the API's version.
    path: String,
    query: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    pub(crate) fn pods(namespace: &str, pods: &str, metric: &str, selector: Option<&str>) -> Self {
        let mut query = format!("labelSelector={}", encode(pods));
        if let Some(selector) = selector {
            query = format!("{query}&metricLabelSelector={}", encode(selector));
        }
        Self {
            source: Source::Pods,
            path: format!("namespaces/{namespace}/pods/*/{}", encode(metric)),
            query,
        }
    }

    /// Returns the path of a metric of one object.
    pub(crate) fn object(
        namespace: &str,
        object: &CrossVersionObjectReference,
        metric: &str,
        selector: Option<&str>,
    ) -> Self {
        let query = selector
            .map(|selector| format!("metricLabelSelector={}", encode(selector)))
            .unwrap_or_default();
        let (name, metric) = (encode(&object.name), encode(metric));
        let path = if object.kind == "Namespace" {
            format!("namespaces/{name}/metrics/{metric}")
        } else {
            format!("namespaces/{namespace}/{PLURAL}/{name}/{metric}")
        };
        let (api_version, kind) = (object.api_version.clone(), object.kind.clone());
        Self {
            source: Source::Object { api_version, kind },
            path,
            query,
        }
    }

    /// Returns the path of a metric from outside the cluster.
    pub(crate) fn external(namespace: &str, metric: &str, selector: Option<&str>) -> Self {
        let query = selector
            .map(|selector| format!("labelSelector={}", encode(selector)))
            .unwrap_or_default();
        Self {
            source: Source::External,
            path: format!("namespaces/{namespace}/{}", encode(metric)),
            query,
        }
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
                let list = get(client, &path, &self.query).await;
                external_values(&list.map_err(|error| failed("external", &error))?)
            }
        }
    }

    async fn custom(&self, client: &Client, path: &str) -> Result<ValueList, ObservationError> {
        let mut first = None;
        for version in CUSTOM_VERSIONS {
            let path = format!("/apis/custom.metrics.k8s.io/{version}/{path}");
            match get(client, &path, &self.query).await {
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

/// Characters to encode in a part of a path and the value of a query: all but the
/// unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Percent-encodes a part of a path or the value of a query.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn failed(api: &str, error: &RequestError) -> ObservationError {
    unavailable(format!(
        "unable to fetch metrics from {api} metrics API: {}",
        error.message()
    ))
}
