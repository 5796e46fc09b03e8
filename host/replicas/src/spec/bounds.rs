//! Limits of a spec that hold wherever it comes from: one object must not take the memory
//! of others, nor reach what is not its own. The schema of the custom resource has them
//! too, as far as it can.

use super::check::{SpecFault, holds, within};
use super::{
    AutoscalerSpec, CrossVersionObjectReference, LabelSelector, MetricFields, MetricIdentifier,
    SegmentFault, limits,
};

impl AutoscalerSpec {
    /// Checks the sizes of the spec, and that its names are segments of paths.
    ///
    /// # Errors
    /// Returns the first field at fault.
    pub fn check_bounds(&self) -> Result<(), SpecFault> {
        reference(&self.scale_target_ref)
            .map_err(|fault| fault.within(format_args!("scaleTargetRef")))?;
        within(self.metrics.len(), &(0..=limits::MAX_METRICS), "metrics")?;
        for (index, spec) in self.metrics.iter().enumerate() {
            let fields = MetricFields::from(spec.clone());
            metric(&fields).map_err(|fault| fault.within(format_args!("metrics[{index}]")))?;
        }
        within(self.policies.len(), &(0..=limits::MAX_POLICIES), "policies")?;
        for (index, policy) in self.policies.iter().enumerate() {
            length(&policy.name, limits::NAME_BYTES, "name")
                .map_err(|fault| fault.within(format_args!("policies[{index}]")))?;
        }
        Ok(())
    }
}

fn reference(reference: &CrossVersionObjectReference) -> Result<(), SpecFault> {
    let api_version = &reference.api_version;
    length(api_version, limits::METRIC_NAME_BYTES, "apiVersion")?;
    for part in api_version.split('/').filter(|part| !part.is_empty()) {
        segment(part, "apiVersion")?;
    }
    length(&reference.kind, limits::NAME_BYTES, "kind")?;
    segment(&reference.kind, "kind")?;
    length(&reference.name, limits::OBJECT_NAME_BYTES, "name")?;
    segment(&reference.name, "name")
}

fn metric(fields: &MetricFields) -> Result<(), SpecFault> {
    length(&fields.kind, limits::NAME_BYTES, "type")?;
    let resource = fields.resource.as_ref().map(|source| &source.name);
    let container = fields.container_resource.as_ref();
    for name in resource
        .into_iter()
        .chain(container.map(|source| &source.name))
    {
        length(name, limits::METRIC_NAME_BYTES, "name")?;
    }
    if let Some(source) = container {
        length(
            &source.container,
            limits::NAME_BYTES,
            "containerResource.container",
        )?;
    }
    if let Some(source) = &fields.object {
        reference(&source.described_object)
            .map_err(|fault| fault.within(format_args!("object.describedObject")))?;
    }
    let identifiers = [
        ("pods", fields.pods.as_ref().map(|source| &source.metric)),
        (
            "object",
            fields.object.as_ref().map(|source| &source.metric),
        ),
        (
            "external",
            fields.external.as_ref().map(|source| &source.metric),
        ),
    ];
    for (field, found) in identifiers {
        let checked = found.map_or(Ok(()), identifier);
        checked.map_err(|fault| fault.within(format_args!("{field}.metric")))?;
    }
    Ok(())
}

fn identifier(metric: &MetricIdentifier) -> Result<(), SpecFault> {
    length(&metric.name, limits::METRIC_NAME_BYTES, "name")?;
    segment(&metric.name, "name")?;
    let checked = metric.selector.as_ref().map_or(Ok(()), selector);
    checked.map_err(|fault| fault.within(format_args!("selector")))
}

fn selector(selector: &LabelSelector) -> Result<(), SpecFault> {
    let bounds = 0..=limits::MAX_REQUIREMENTS;
    within(selector.match_labels.len(), &bounds, "matchLabels")?;
    within(
        selector.match_expressions.len(),
        &bounds,
        "matchExpressions",
    )?;
    let mut bytes = 0;
    for (key, value) in &selector.match_labels {
        bytes += key.len() + value.len();
    }
    for (index, expression) in selector.match_expressions.iter().enumerate() {
        within(expression.values.len(), &bounds, "values")
            .map_err(|fault| fault.within(format_args!("matchExpressions[{index}]")))?;
        let values: usize = expression.values.iter().map(String::len).sum();
        bytes += expression.key.len() + expression.operator.len() + values;
    }
    holds(bytes <= limits::SELECTOR_BYTES, "matchLabels", || {
        let most = limits::SELECTOR_BYTES;
        format!("the selector has {bytes} bytes, at most {most} are allowed")
    })
}

fn segment(text: &str, field: &str) -> Result<(), SpecFault> {
    match SegmentFault::find(text) {
        Some(fault) => holds(false, field, || fault.to_string()),
        None => Ok(()),
    }
}

fn length(text: &str, most: usize, field: &str) -> Result<(), SpecFault> {
    let bytes = text.len();
    holds(bytes <= most, field, || {
        format!("has {bytes} bytes, at most {most} are allowed")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::AutoscalerSpec;

    fn external(metric: &Value) -> Value {
        let target = json!({ "type": "Value", "value": "1" });
        json!({ "type": "External", "external": { "metric": metric, "target": target } })
    }

    fn labels(count: usize, bytes: usize) -> Value {
        (0..count)
            .map(|n| (format!("l{n}"), Value::from("x".repeat(bytes))))
            .collect()
    }

    /// Returns what is wrong with a spec with these fields.
    fn fault(fields: &Value) -> Option<String> {
        let mut spec = json!({
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "maxReplicas": 9,
        });
        for (name, value) in fields.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        let spec = serde_json::from_value::<AutoscalerSpec>(spec);
        match spec.map(|spec| spec.check_bounds()) {
            Ok(Ok(())) => None,
            Ok(Err(fault)) => Some(fault.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    #[test]
    fn what_is_too_large_or_no_segment_is_named() {
        let config =
            |bytes: usize| json!([{ "name": "hpa", "config": { "a": "x".repeat(bytes) } }]);
        let matching = |labels| json!({ "name": "q", "selector": { "matchLabels": labels } });
        assert_eq!(fault(&json!({})), None);
        assert_eq!(fault(&json!({ "policies": config(65_528) })), None);
        assert_eq!(
            fault(&json!({ "metrics": [external(&matching(labels(32, 63)))] })),
            None
        );
        for (fields, problem) in [
            (
                json!({ "policies": config(65_529) }),
                "the configuration has 65537 bytes as compact JSON, at most 65536 are allowed",
            ),
            (
                json!({ "metrics": [external(&json!({ "name": "a/b" }))] }),
                "metrics[0].external.metric.name: may not contain '/'",
            ),
            (
                json!({ "metrics": [external(&matching(labels(33, 1)))] }),
                "metrics[0].external.metric.selector.matchLabels: 33 is not in 0 to 32",
            ),
            (
                json!({ "metrics": [external(&matching(labels(2, 2_100)))] }),
                "metrics[0].external.metric.selector.matchLabels: the selector has 4204 bytes, \
                 at most 4096 are allowed",
            ),
            (
                json!({ "scaleTargetRef": { "apiVersion": "../v1", "kind": "A", "name": "web" } }),
                "scaleTargetRef.apiVersion: may not be '..'",
            ),
            (
                json!({ "scaleTargetRef": { "kind": "A", "name": "x".repeat(254) } }),
                "scaleTargetRef.name: has 254 bytes, at most 253 are allowed",
            ),
        ] {
            assert_eq!(fault(&fields).as_deref(), Some(problem));
        }
    }
}
