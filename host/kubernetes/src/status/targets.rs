//! The text under TARGETS, such as `cpu: 80%/50%`, in the form of `kubectl get hpa`.

use flyball_decision::quantity::{Milli, Quantity, Suffixes};
use flyball_replicas::spec::{
    ContainerResourceMetric, ExternalMetric, MetricSpec, MetricTarget, ObjectMetric, ResourceMetric,
};
use flyball_replicas::status::MetricStatus;

/// Number of metrics that are printed. Of further ones, only the number is printed.
const SHOWN: usize = 2;

pub(super) fn text(specs: &[MetricSpec], statuses: &[MetricStatus]) -> String {
    let unknown = MetricStatus::default();
    let status_of = |index| statuses.get(index).unwrap_or(&unknown);
    let shown = specs.iter().take(SHOWN).enumerate();
    let shown: Vec<String> = shown
        .map(|(i, spec)| metric_text(spec, status_of(i)))
        .collect();
    let shown = shown.join(", ");
    match specs.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

fn metric_text(spec: &MetricSpec, status: &MetricStatus) -> String {
    match spec {
        MetricSpec::Resource(ResourceMetric { name, target })
        | MetricSpec::ContainerResource(ContainerResourceMetric { name, target, .. }) => {
            format!("{name}: {}", resource_text(name, target, status))
        }
        MetricSpec::Pods(pods) => value_text("", status.average, pods.target.average_value),
        MetricSpec::Object(ObjectMetric { target, .. })
        | MetricSpec::External(ExternalMetric { target, .. }) => match target.average_value {
            Some(average) => format!("{} (avg)", value_text("", status.average, Some(average))),
            None => value_text("", status.value, target.value),
        },
        MetricSpec::Invalid(_) => "<unknown type>".to_owned(),
    }
}

fn resource_text(name: &str, target: &MetricTarget, status: &MetricStatus) -> String {
    if target.average_value.is_some() {
        return value_text(name, status.average, target.average_value);
    }
    let percent = |percent| format!("{percent}%");
    let current = status
        .utilization
        .map_or_else(|| UNKNOWN.to_owned(), percent);
    let target = target.average_utilization.map(i64::from);
    format!(
        "{current}/{}",
        target.map_or_else(|| "<auto>".to_owned(), percent)
    )
}

/// Returns a value and its target. `resource` is empty if it is not of a resource.
fn value_text(resource: &str, current: Option<i64>, target: Option<Quantity>) -> String {
    let text = |value: Option<Quantity>| {
        value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
    };
    let current = current.map(|milli| Quantity {
        milli: Milli(milli),
        suffixes: Suffixes::of_resource(resource),
    });
    format!("{}/{}", text(current), text(target))
}

const UNKNOWN: &str = "<unknown>";
