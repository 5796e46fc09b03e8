//! `status.currentMetrics` in the form of autoscaling/v2.

use flyball_decision::quantity::Milli;
use flyball_replicas::spec::{CrossVersionObjectReference, MetricIdentifier, MetricSpec};
use flyball_replicas::status::MetricStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    metric: MetricIdentifier,
    /// What was measured.
    current: CurrentValue,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CurrentObject {
    /// Which metric.
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
    average_value: Option<Milli>,
    /// The value itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Milli>,
}

/// Converts statuses into the API's form, at the index of the spec's metrics.
pub(super) fn to_api(specs: &[MetricSpec], statuses: &[MetricStatus]) -> Vec<CurrentMetric> {
    let none = MetricSpec::default();
    let spec_of = |index| specs.get(index).unwrap_or(&none);
    let pairs = statuses.iter().enumerate();
    pairs
        .map(|(index, status)| CurrentMetric::new(spec_of(index), status))
        .collect()
}

impl CurrentMetric {
    fn new(spec: &MetricSpec, status: &MetricStatus) -> Self {
        let current = CurrentValue {
            average_utilization: status.utilization,
            average_value: status.average.map(Milli),
            value: status.value.map(Milli),
        };
        let mut metric = Self {
            kind: status.source.clone(),
            ..Self::default()
        };
        let name = status.name.clone();
        let identifier = || MetricIdentifier {
            name: name.clone(),
            selector: None,
        };
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
                let known = spec.pods.as_ref().map(|pods| pods.metric.clone());
                let known = known.unwrap_or_else(identifier);
                metric.pods = Some(CurrentIdentified {
                    metric: known,
                    current,
                });
            }
            "Object" => {
                let object = spec.object.clone().unwrap_or_default();
                metric.object = Some(CurrentObject {
                    metric: object.metric,
                    described_object: object.described_object,
                    current,
                });
            }
            "External" => {
                let known = spec
                    .external
                    .as_ref()
                    .map(|external| external.metric.clone());
                let known = known.unwrap_or_else(identifier);
                metric.external = Some(CurrentIdentified {
                    metric: known,
                    current,
                });
            }
            _ => {}
        }
        metric
    }

    pub(super) fn to_core(&self) -> MetricStatus {
        let (name, container, current) = if let Some(resource) = &self.resource {
            (&resource.name, "", &resource.current)
        } else if let Some(resource) = &self.container_resource {
            (
                &resource.name,
                resource.container.as_str(),
                &resource.current,
            )
        } else if let Some(identified) = self.pods.as_ref().or(self.external.as_ref()) {
            (&identified.metric.name, "", &identified.current)
        } else if let Some(object) = &self.object {
            (&object.metric.name, "", &object.current)
        } else {
            return MetricStatus {
                source: self.kind.clone(),
                ..MetricStatus::default()
            };
        };
        MetricStatus {
            source: self.kind.clone(),
            name: name.clone(),
            container: container.to_owned(),
            utilization: current.average_utilization,
            average: current.average_value.map(|Milli(milli)| milli),
            value: current.value.map(|Milli(milli)| milli),
        }
    }
}
