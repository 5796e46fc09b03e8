//! The metrics of a spec.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CrossVersionObjectReference;
use flyball_decision::quantity::Quantity;

/// One metric: `type` says which of the other fields is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "MetricFields", into = "MetricFields")]
pub enum MetricSpec {
    /// A resource of the pods, all containers together.
    Resource(ResourceMetric),
    /// A resource of one container of each pod.
    ContainerResource(ContainerResourceMetric),
    /// A custom metric of the pods.
    Pods(PodsMetric),
    /// A custom metric of one other object.
    Object(ObjectMetric),
    /// A metric from outside the cluster.
    External(ExternalMetric),
    /// A metric whose type is unknown, or whose type does not match the fields that are
    /// set. It is never measured; the fields are kept to report what is wrong.
    Invalid(Box<MetricFields>),
}

/// The JSON form of a [`MetricSpec`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "struct MetricSpec"
)]
pub struct MetricFields {
    /// `Resource`, `ContainerResource`, `Pods`, `Object` or `External`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A resource of the pods, all containers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceMetric>,
    /// A resource of one container of each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_resource: Option<ContainerResourceMetric>,
    /// A custom metric of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsMetric>,
    /// A custom metric of one other object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectMetric>,
    /// A metric from outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalMetric>,
}

impl MetricSpec {
    /// Returns the metric of a spec without metrics: cpu at 80% of the request.
    #[must_use]
    pub fn default_cpu() -> Self {
        Self::Resource(ResourceMetric {
            name: "cpu".to_owned(),
            target: MetricTarget {
                kind: "Utilization".to_owned(),
                average_utilization: Some(80),
                ..MetricTarget::default()
            },
        })
    }

    /// Returns `type` of the metric.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Resource(_) => "Resource",
            Self::ContainerResource(_) => "ContainerResource",
            Self::Pods(_) => "Pods",
            Self::Object(_) => "Object",
            Self::External(_) => "External",
            Self::Invalid(fields) => &fields.kind,
        }
    }

    /// Returns name and selector of the metric. `None` for a resource, which has no
    /// selector.
    #[must_use]
    pub fn identifier(&self) -> Option<&MetricIdentifier> {
        match self {
            Self::Pods(PodsMetric { metric, .. })
            | Self::Object(ObjectMetric { metric, .. })
            | Self::External(ExternalMetric { metric, .. }) => Some(metric),
            Self::Resource(_) | Self::ContainerResource(_) | Self::Invalid(_) => None,
        }
    }
}

impl From<MetricFields> for MetricSpec {
    fn from(fields: MetricFields) -> Self {
        let MetricFields {
            kind,
            resource,
            container_resource,
            pods,
            object,
            external,
        } = fields;
        let set = (resource, container_resource, pods, object, external);
        match (kind.as_str(), set) {
            ("Resource", (Some(metric), None, None, None, None)) => Self::Resource(metric),
            ("ContainerResource", (None, Some(metric), None, None, None)) => {
                Self::ContainerResource(metric)
            }
            ("Pods", (None, None, Some(metric), None, None)) => Self::Pods(metric),
            ("Object", (None, None, None, Some(metric), None)) => Self::Object(metric),
            ("External", (None, None, None, None, Some(metric))) => Self::External(metric),
            (_, (resource, container_resource, pods, object, external)) => {
                Self::Invalid(Box::new(MetricFields {
                    kind,
                    resource,
                    container_resource,
                    pods,
                    object,
                    external,
                }))
            }
        }
    }
}

impl From<MetricSpec> for MetricFields {
    fn from(metric: MetricSpec) -> Self {
        let mut fields = Self {
            kind: metric.kind().to_owned(),
            ..Self::default()
        };
        match metric {
            MetricSpec::Resource(metric) => fields.resource = Some(metric),
            MetricSpec::ContainerResource(metric) => fields.container_resource = Some(metric),
            MetricSpec::Pods(metric) => fields.pods = Some(metric),
            MetricSpec::Object(metric) => fields.object = Some(metric),
            MetricSpec::External(metric) => fields.external = Some(metric),
            MetricSpec::Invalid(invalid) => fields = *invalid,
        }
        fields
    }
}

/// A resource of the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceMetric {
    /// Such as `cpu`.
    pub name: String,
    /// What it should be.
    pub target: MetricTarget,
}

/// A resource of one container of each pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerResourceMetric {
    /// Such as `cpu`.
    pub name: String,
    /// Name of the container.
    pub container: String,
    /// What it should be.
    pub target: MetricTarget,
}

/// A custom metric of the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodsMetric {
    /// Which metric.
    pub metric: MetricIdentifier,
    /// What it should be.
    pub target: MetricTarget,
}

/// A custom metric of one other object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectMetric {
    /// Whose metric.
    pub described_object: CrossVersionObjectReference,
    /// Which metric.
    pub metric: MetricIdentifier,
    /// What it should be.
    pub target: MetricTarget,
}

/// A metric from outside the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalMetric {
    /// Which metric.
    pub metric: MetricIdentifier,
    /// What it should be.
    pub target: MetricTarget,
}

/// A metric's name, and a selector of its series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricIdentifier {
    /// Name of the metric.
    pub name: String,
    /// Narrows the metric's series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// What a metric should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricTarget {
    /// `Utilization`, `Value` or `AverageValue`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// For the metric as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Quantity>,
    /// For each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_value: Option<Quantity>,
    /// In percent of the pods' request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_utilization: Option<i32>,
}

/// A label selector, as Kubernetes has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that must have these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelectorRequirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// For `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a panic is how a test says what is wrong"
    )]

    use super::MetricSpec;
    use serde_json::{Value, json};

    fn read(metric: &Value) -> Result<MetricSpec, String> {
        serde_json::from_value(metric.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_metric_is_written_as_it_was_read_and_is_valid_if_its_type_matches_its_fields() {
        let target = json!({ "type": "AverageValue", "averageValue": "3" });
        let metric = json!({ "name": "rps", "selector": { "matchLabels": { "a": "b" } } });
        let reference = json!({ "apiVersion": "v1", "kind": "Service", "name": "web" });
        let fields = [
            (
                "Resource",
                "resource",
                json!({ "name": "cpu", "target": target }),
            ),
            (
                "ContainerResource",
                "containerResource",
                json!({ "name": "cpu", "container": "app", "target": target }),
            ),
            (
                "Pods",
                "pods",
                json!({ "metric": metric, "target": target }),
            ),
            (
                "Object",
                "object",
                json!({ "describedObject": reference, "metric": metric, "target": target }),
            ),
            (
                "External",
                "external",
                json!({ "metric": metric, "target": target }),
            ),
        ];
        for (index, (kind, field, value)) in fields.iter().enumerate() {
            let valid = json!({ "type": kind, *field: value });
            let mut without = valid.clone();
            without.as_object_mut().unwrap().remove(*field);
            let mut unknown = valid.clone();
            unknown["type"] = json!("Foo");
            let mut other = valid.clone();
            let (_, other_field, other_value) = &fields[(index + 1) % fields.len()];
            other[*other_field] = other_value.clone();
            for (json, is_valid) in [
                (valid, true),
                (without, false),
                (unknown, false),
                (other, false),
            ] {
                let metric = read(&json).unwrap();
                assert_eq!(metric.kind(), json["type"], "{json}");
                let invalid = matches!(metric, MetricSpec::Invalid(_));
                assert_eq!(!invalid, is_valid, "{json}");
                assert_eq!(serde_json::to_value(&metric).unwrap(), json);
            }
        }
    }

    #[test]
    fn what_is_no_metric_is_named() {
        let cases = [
            (json!({}), "missing field `type`"),
            (
                json!("cpu"),
                "invalid type: string \"cpu\", expected struct MetricSpec",
            ),
            (
                json!({ "type": "Pods", "podz": 1 }),
                "unknown field `podz`, expected one of `type`, `resource`, \
                 `containerResource`, `pods`, `object`, `external`",
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(read(&json), Err(expected.to_owned()));
        }
    }
}
