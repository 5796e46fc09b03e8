//! Prepared specs: what decisions need of a spec, computed once for each version of it.

use std::sync::Arc;

use crate::guard;
use crate::options::ReplicaOptions;
use crate::ports::{Autoscaler, MetricSelector, ObservationError};
use crate::spec::{
    AutoscalerSpec, Behavior, ContainerResourceMetric, ExternalMetric, LabelSelector,
    MetricIdentifier, MetricSpec, MetricTarget, ObjectMetric, PodsMetric, ResourceMetric,
    ScalingRules,
};
use flyball_decision::ask::Named;
use flyball_decision::quantity::{QuantityText, approximate_f64};
use flyball_decision::replica::{MetricInput, Target};
use flyball_decision::text;

/// Maximum size of what names a metric in a message: its selector may be long.
const METRIC_BYTES: usize = 512;

/// A spec with its defaults applied, in the form that decisions use.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The spec itself.
    pub spec: Arc<AutoscalerSpec>,
    /// The target.
    pub target: Arc<Target>,
    /// Lower bound of replicas.
    pub min: i32,
    /// The behavior with its defaults.
    pub behavior: Option<Arc<Behavior>>,
    /// See [`flyball_decision::replica::ReplicaInput::tolerance_up`].
    pub tolerance_up: f64,
    /// See [`flyball_decision::replica::ReplicaInput::tolerance_down`].
    pub tolerance_down: f64,
    /// The metrics of the spec, without measurements.
    pub metrics: Vec<MetricInput>,
    /// Selector of each metric.
    pub metric_selectors: Arc<[MetricSelector]>,
    /// Display name of each metric, as in Kubernetes' events and conditions.
    pub metric_names: Arc<[Arc<str>]>,
    /// Prefix of Kubernetes' error message for each metric, if the metric is unavailable.
    pub unavailable_prefixes: Vec<String>,
    /// The policies to ask, in order.
    pub policies: Vec<PreparedPolicy>,
}

/// A policy to ask.
#[derive(Clone, Debug)]
pub struct PreparedPolicy {
    /// Its name.
    pub name: Arc<str>,
    /// Its configuration, a JSON object as text.
    pub configuration: Arc<str>,
}

impl PreparedPolicy {
    /// Returns name and configuration, to ask the policy.
    pub(crate) fn named(&self) -> Named<'_> {
        Named {
            name: &self.name,
            configuration: &self.configuration,
        }
    }
}

impl Prepared {
    /// Prepares the spec of `autoscaler`.
    #[must_use]
    pub fn new(autoscaler: &Autoscaler, options: &ReplicaOptions) -> Self {
        let spec = Arc::clone(&autoscaler.spec);
        let metrics = spec.effective_metrics();
        let metric_selectors: Arc<[_]> = metrics.iter().map(metric_selector).collect();
        let metrics_with_selectors = metrics.iter().zip(&*metric_selectors);
        let behavior = spec.behavior.as_ref();
        let tolerance = |rules: Option<&Option<ScalingRules>>| {
            let text = rules
                .and_then(Option::as_ref)
                .and_then(|rules| rules.tolerance.as_ref());
            text.map_or(Ok(options.tolerance), |QuantityText(text)| {
                approximate_f64(text)
            })
            .unwrap_or(options.tolerance)
        };
        Self {
            target: Arc::new(target(autoscaler)),
            min: spec.effective_min(),
            behavior: behavior.map(|behavior| Arc::new(guard::defaulted(behavior))),
            tolerance_up: tolerance(behavior.map(|behavior| &behavior.scale_up)),
            tolerance_down: tolerance(behavior.map(|behavior| &behavior.scale_down)),
            metrics: metrics_with_selectors
                .map(|(spec, selector)| metric(spec, selector))
                .collect(),
            metric_names: metrics
                .iter()
                .map(|metric| text::within(display_name(metric), METRIC_BYTES).into())
                .collect(),
            unavailable_prefixes: metrics
                .iter()
                .map(|metric| unavailable_prefix(metric, &autoscaler.key.namespace))
                .map(|prefix| text::within(prefix, METRIC_BYTES))
                .collect(),
            policies: spec.effective_policies().iter().map(policy).collect(),
            metric_selectors,
            spec,
        }
    }

    /// Applies the feature gates. Without `HPAScaleToZero`, a lower bound of 0 counts as
    /// 1: a target at zero would not be scaled up again.
    #[must_use]
    pub fn gated(self, options: &ReplicaOptions) -> Self {
        let lowest = i32::from(!options.scale_to_zero);
        Self {
            min: self.min.max(lowest),
            ..self
        }
    }

    /// Returns whether [`Self::gated`] raised the lower bound.
    #[must_use]
    pub fn is_kept_from_zero(&self) -> bool {
        self.min > self.spec.effective_min()
    }
}

/// Returns the object whose scale an autoscaler writes.
pub(crate) fn target(autoscaler: &Autoscaler) -> Target {
    let reference = &autoscaler.spec.scale_target_ref;
    Target {
        api_version: reference.api_version.clone(),
        kind: reference.kind.clone(),
        namespace: autoscaler.key.namespace.to_string(),
        name: reference.name.clone(),
    }
}

fn policy(policy: &crate::spec::PolicyRef) -> PreparedPolicy {
    PreparedPolicy {
        name: policy.name.as_str().into(),
        configuration: policy.configuration(),
    }
}

/// Returns the selector of a metric in text form.
fn metric_selector(spec: &MetricSpec) -> MetricSelector {
    let identifier = spec.identifier();
    let selector = identifier.and_then(|identifier| identifier.selector.as_ref());
    match selector.map(LabelSelector::to_text).transpose() {
        Ok(text) => Ok(text.map(Arc::from)),
        Err(invalid) => Err(ObservationError {
            class: "invalidMetricSelector",
            message: invalid.to_string(),
        }),
    }
}

/// Returns the columns of a metric that the spec fills.
fn metric(spec: &MetricSpec, selector: &MetricSelector) -> MetricInput {
    let mut metric = MetricInput {
        source: spec.kind().to_owned(),
        ..MetricInput::default()
    };
    let target = match spec {
        MetricSpec::Resource(resource) => {
            metric.name.clone_from(&resource.name);
            &resource.target
        }
        MetricSpec::ContainerResource(resource) => {
            metric.name.clone_from(&resource.name);
            metric.container.clone_from(&resource.container);
            &resource.target
        }
        MetricSpec::Pods(PodsMetric {
            metric: identifier,
            target,
        })
        | MetricSpec::Object(ObjectMetric {
            metric: identifier,
            target,
            ..
        })
        | MetricSpec::External(ExternalMetric {
            metric: identifier,
            target,
        }) => {
            metric.name.clone_from(&identifier.name);
            target
        }
        MetricSpec::Invalid(fields) => {
            set_error(
                &mut metric,
                ObservationError::unknown_metric_type(&fields.kind),
            );
            return metric;
        }
    };
    set_target(&mut metric, target);
    match selector {
        Ok(text) => metric.selector = text.as_deref().unwrap_or_default().to_owned(),
        Err(error) => set_error(&mut metric, error.clone()),
    }
    metric
}

fn set_target(metric: &mut MetricInput, target: &MetricTarget) {
    metric.target_type.clone_from(&target.kind);
    metric.target_value = target.value.map(|value| value.milli.0);
    metric.target_average_value = target.average_value.map(|value| value.milli.0);
    metric.target_average_utilization = target.average_utilization;
}

fn set_error(metric: &mut MetricInput, error: ObservationError) {
    metric.error = error.class.to_owned();
    metric.message = error.message;
}

/// Returns the name of a metric in Kubernetes' events and conditions. As in Kubernetes,
/// an `Object` metric with an average value is called external.
fn display_name(spec: &MetricSpec) -> String {
    match spec {
        MetricSpec::Resource(ResourceMetric { name, target }) => {
            resource_name(name, "resource utilization", target)
        }
        MetricSpec::ContainerResource(ContainerResourceMetric { name, target, .. }) => {
            resource_name(name, "container resource utilization", target)
        }
        MetricSpec::Pods(pods) => format!("pods metric {}", pods.metric.name),
        MetricSpec::Object(ObjectMetric { metric, target, .. })
            if target.kind == "AverageValue" && target.average_value.is_some() =>
        {
            external_name(metric)
        }
        MetricSpec::Object(object) => {
            let kind = &object.described_object.kind;
            format!("{kind} metric {}", object.metric.name)
        }
        MetricSpec::External(external) => external_name(&external.metric),
        MetricSpec::Invalid(fields) => format!("{} metric", fields.kind),
    }
}

fn resource_name(name: &str, what: &str, target: &MetricTarget) -> String {
    if target.average_value.is_some() {
        format!("{name} resource")
    } else {
        format!("{name} {what} (percentage of request)")
    }
}

fn external_name(metric: &MetricIdentifier) -> String {
    format!(
        "external metric {}({})",
        metric.name,
        go_text(metric.selector.as_ref())
    )
}

/// Returns the prefix of Kubernetes' error message if the metric is unavailable.
fn unavailable_prefix(spec: &MetricSpec, namespace: &str) -> String {
    match spec {
        MetricSpec::Resource(ResourceMetric { name, .. })
        | MetricSpec::ContainerResource(ContainerResourceMetric { name, .. }) => {
            format!("unable to get metrics for resource {name}: ")
        }
        MetricSpec::Pods(pods) => format!("unable to get metric {}: ", pods.metric.name),
        MetricSpec::Object(object) => {
            let (name, of) = (&object.metric.name, &object.described_object);
            format!(
                "unable to get metric {name}: {} on {namespace} {}/",
                of.kind, of.name
            )
        }
        MetricSpec::External(external) => {
            let selector = go_text(external.metric.selector.as_ref());
            let name = &external.metric.name;
            format!("unable to get external metric {namespace}/{name}/{selector}: ")
        }
        MetricSpec::Invalid(_) => String::new(),
    }
}

/// Formats a selector as Go's `%+v` does.
fn go_text(selector: Option<&LabelSelector>) -> String {
    use std::fmt::Write as _;
    let Some(selector) = selector else {
        return "nil".to_owned();
    };
    let mut text = "&LabelSelector{MatchLabels:map[string]string{".to_owned();
    for (key, value) in &selector.match_labels {
        let _ = write!(text, "{key}: {value},");
    }
    text.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for requirement in &selector.match_expressions {
        let (key, operator) = (&requirement.key, &requirement.operator);
        let values = requirement.values.join(" ");
        let _ = write!(
            text,
            "LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},"
        );
    }
    text.push_str("},}");
    text
}
