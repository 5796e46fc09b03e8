//! `status.currentMetrics` in the form of autoscaling/v2.

use flyball_decision::quantity::{Milli, Quantity, Suffixes};
use flyball_decision::text;
use flyball_replicas::spec::{CrossVersionObjectReference, MetricIdentifier, MetricSpec, limits};
use flyball_replicas::status::MetricStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// What a metric was; `type` says which of the other fields is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CurrentMetric {
    /// The metric's type, or empty if it could not be had.
    #[serde(rename = "type")]
    kind: String,
    /// A resource of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<CurrentResource>,
    /// A resource of one container of each pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    container_resource: Option<CurrentContainerResource>,
    /// A custom metric of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<CurrentIdentified>,
    /// A custom metric of one other object.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<CurrentObject>,
    /// A metric from outside the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    external: Option<CurrentIdentified>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct CurrentResource {
    /// Name of the resource.
    name: String,
    /// What was measured.
    current: CurrentValue,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct CurrentContainerResource {
    /// Name of the resource.
    name: String,
    /// Name of the container.
    container: String,
    /// What was measured.
    current: CurrentValue,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct CurrentIdentified {
    /// Which metric.
    #[serde(deserialize_with = "name_alone")]
    metric: MetricIdentifier,
    /// What was measured.
    current: CurrentValue,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CurrentObject {
    /// Which metric.
    #[serde(deserialize_with = "name_alone")]
    metric: MetricIdentifier,
    /// Whose metric.
    described_object: CrossVersionObjectReference,
    /// What was measured.
    current: CurrentValue,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct CurrentValue {
    /// Percent of the pods' request.
    #[serde(skip_serializing_if = "Option::is_none")]
    average_utilization: Option<i64>,
    /// Average over the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    average_value: Option<Quantity>,
    /// The value itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Quantity>,
}

/// Reads the name of a metric. The core has no selector in a status, and one that somebody else
/// wrote may have any size.
fn name_alone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MetricIdentifier, D::Error> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }

    let Named { name } = Named::deserialize(deserializer)?;
    Ok(MetricIdentifier {
        name,
        selector: None,
    })
}

/// Converts statuses into the API's form, at the index of the spec's metrics.
pub(super) fn to_api(specs: &[MetricSpec], statuses: &[MetricStatus]) -> Vec<CurrentMetric> {
    let pairs = statuses.iter().enumerate();
    pairs
        .map(|(index, status)| CurrentMetric::new(specs.get(index), status))
        .collect()
}

/// Returns the metric that a status is about, with the selector of the spec. Returns its
/// name alone if the spec has another type of metric now.
fn identifier(spec: Option<&MetricSpec>, status: &MetricStatus) -> MetricIdentifier {
    let spec = spec.filter(|spec| spec.kind() == status.source);
    let identifier = spec.and_then(MetricSpec::identifier).cloned();
    identifier.unwrap_or_else(|| MetricIdentifier {
        name: status.name.clone(),
        selector: None,
    })
}

impl CurrentMetric {
    /// Converts a status. `spec` is the metric at its index in the spec, if there is one.
    fn new(spec: Option<&MetricSpec>, status: &MetricStatus) -> Self {
        let suffixes = match status.source.as_str() {
            "Resource" | "ContainerResource" => Suffixes::of_resource(&status.name),
            _ => Suffixes::Decimal,
        };
        // Read back, it must be the same, and binary suffixes have no fractions.
        let quantity = |milli: i64| Quantity {
            milli: Milli(milli),
            suffixes: match milli % 1000 {
                0 => suffixes,
                _ => Suffixes::Decimal,
            },
        };
        let current = CurrentValue {
            average_utilization: status.utilization,
            average_value: status.average.map(quantity),
            value: status.value.map(quantity),
        };
        let mut metric = Self {
            kind: status.source.clone(),
            ..Self::default()
        };
        let name = status.name.clone();
        match status.source.as_str() {
            "Resource" => metric.resource = Some(CurrentResource { name, current }),
            "ContainerResource" => {
                let container = status.container.clone();
                metric.container_resource = Some(CurrentContainerResource {
                    name,
                    container,
                    current,
                });
            }
            "Pods" => {
                let identifier = identifier(spec, status);
                metric.pods = Some(CurrentIdentified {
                    metric: identifier,
                    current,
                });
            }
            "Object" => {
                let described_object = match spec {
                    Some(MetricSpec::Object(object)) => object.described_object.clone(),
                    _ => CrossVersionObjectReference::default(),
                };
                metric.object = Some(CurrentObject {
                    metric: identifier(spec, status),
                    described_object,
                    current,
                });
            }
            "External" => {
                let identifier = identifier(spec, status);
                metric.external = Some(CurrentIdentified {
                    metric: identifier,
                    current,
                });
            }
            _ => {}
        }
        metric
    }

    pub(super) fn to_core(&self) -> MetricStatus {
        let (name, container, current) = match self {
            Self {
                resource: Some(CurrentResource { name, current }),
                ..
            } => (name.as_str(), "", current),
            Self {
                container_resource: Some(resource),
                ..
            } => (
                resource.name.as_str(),
                resource.container.as_str(),
                &resource.current,
            ),
            Self {
                pods: Some(CurrentIdentified { metric, current }),
                ..
            }
            | Self {
                external: Some(CurrentIdentified { metric, current }),
                ..
            }
            | Self {
                object:
                    Some(CurrentObject {
                        metric, current, ..
                    }),
                ..
            } => (metric.name.as_str(), "", current),
            _ => ("", "", &CurrentValue::NONE),
        };
        MetricStatus {
            source: text::note(&*self.kind),
            name: bounded(name),
            container: bounded(container),
            utilization: current.average_utilization,
            average: current.average_value.map(|value| value.milli.0),
            value: current.value.map(|value| value.milli.0),
        }
    }
}

/// Returns a name of bounded size. One that a spec may have stays as it is: the status would
/// differ from what was written, and be written again at each sync.
fn bounded(name: &str) -> String {
    if name.len() <= limits::METRIC_NAME_BYTES {
        name.to_owned()
    } else {
        text::note(name)
    }
}

impl CurrentValue {
    const NONE: Self = Self {
        average_utilization: None,
        average_value: None,
        value: None,
    };
}
