//! Validation of a spec where no API server has done it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::{AutoscalerSpec, MetricFields, MetricTarget, ScalingPolicy, ScalingRules, limits};
use flyball_decision::quantity::approximate_f64;

/// A field with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SpecFault {
    /// Its path in the spec, such as `behavior.scaleUp.policies[0].type`.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl SpecFault {
    pub(super) fn within(self, outer: impl Display) -> Self {
        Self {
            field: format!("{outer}.{}", self.field),
            ..self
        }
    }
}

impl AutoscalerSpec {
    /// Validates names, metrics, behavior and policies as the schema of the custom
    /// resource does.
    ///
    /// # Errors
    /// Returns the first value that is invalid.
    pub fn check(&self) -> Result<(), SpecFault> {
        self.check_bounds()?;
        let can_leave_zero = self.effective_min() > 0 || self.has_outside_metric();
        holds(can_leave_zero, "metrics", || {
            limits::ZERO_WITHOUT_OUTSIDE_METRIC.to_owned()
        })?;
        for (index, spec) in self.metrics.iter().enumerate() {
            let fields = MetricFields::from(spec.clone());
            metric(&fields).map_err(|fault| fault.within(format_args!("metrics[{index}]")))?;
        }
        if let Some(behavior) = &self.behavior {
            for (direction, rules) in [
                ("scaleUp", &behavior.scale_up),
                ("scaleDown", &behavior.scale_down),
            ] {
                let checked = rules.as_ref().map_or(Ok(()), scaling_rules);
                checked.map_err(|fault| fault.within(format_args!("behavior.{direction}")))?;
            }
        }
        let mut names = BTreeSet::new();
        for (index, policy) in self.policies.iter().enumerate() {
            holds(names.insert(&policy.name), "name", || {
                format!("{} is there twice", policy.name)
            })
            .map_err(|fault| fault.within(format_args!("policies[{index}]")))?;
        }
        Ok(())
    }
}

fn metric(spec: &MetricFields) -> Result<(), SpecFault> {
    one_of(&spec.kind, &limits::METRICS.map(|kind| kind.name), "type")?;
    let targets = [
        spec.resource.as_ref().map(|source| &source.target),
        spec.container_resource
            .as_ref()
            .map(|source| &source.target),
        spec.pods.as_ref().map(|source| &source.target),
        spec.object.as_ref().map(|source| &source.target),
        spec.external.as_ref().map(|source| &source.target),
    ];
    for (kind, found) in limits::METRICS.iter().zip(targets) {
        let asked_for = spec.kind == kind.name;
        holds(found.is_some() == asked_for, kind.field, || {
            format!("must be set if type is {}, and only then", kind.name)
        })?;
        let checked = found.map_or(Ok(()), |found| target(found, kind.targets));
        checked.map_err(|fault| fault.within(format_args!("{}.target", kind.field)))?;
    }
    Ok(())
}

fn target(target: &MetricTarget, kinds: &[&str]) -> Result<(), SpecFault> {
    one_of(&target.kind, kinds, "type")?;
    let values = [
        target.average_utilization.map(i64::from),
        target.value.map(|value| value.milli.0),
        target.average_value.map(|value| value.milli.0),
    ];
    for ((kind, field), value) in limits::TARGETS.into_iter().zip(values) {
        let consistent = value.is_some() == (target.kind == kind) || !kinds.contains(&kind);
        holds(consistent, field, || {
            format!("must be set if the target's type is {kind}, and only then")
        })?;
        let positive = value.is_none_or(|value| value > 0);
        holds(positive, field, || "must be greater than 0".to_owned())?;
    }
    Ok(())
}

fn scaling_rules(rules: &ScalingRules) -> Result<(), SpecFault> {
    if let Some(window) = rules.stabilization_window_seconds {
        let field = "stabilizationWindowSeconds";
        within(window, &limits::WINDOW_SECONDS, field)?;
    }
    if let Some(select) = &rules.select_policy {
        one_of(select, &limits::SELECT_POLICIES, "selectPolicy")?;
    }
    if let Some(policies) = &rules.policies {
        within(policies.len(), &limits::SCALING_POLICIES, "policies")?;
        for (index, policy) in policies.iter().enumerate() {
            scaling_policy(policy)
                .map_err(|fault| fault.within(format_args!("policies[{index}]")))?;
        }
    }
    if let Some(tolerance) = &rules.tolerance {
        let sound = approximate_f64(&tolerance.0).is_ok_and(|tolerance| tolerance >= 0.0);
        holds(sound, "tolerance", || {
            format!("{:?} is no quantity of 0 or more", tolerance.0)
        })?;
    }
    Ok(())
}

fn scaling_policy(policy: &ScalingPolicy) -> Result<(), SpecFault> {
    let (value, period) = (policy.value, policy.period_seconds);
    one_of(&policy.kind, &limits::SCALING_POLICY_TYPES, "type")?;
    holds(value >= 1, "value", || format!("{value} is not at least 1"))?;
    within(period, &limits::PERIOD_SECONDS, "periodSeconds")
}

fn one_of(value: &str, allowed: &[&str], field: &str) -> Result<(), SpecFault> {
    holds(allowed.contains(&value), field, || {
        format!("{value:?} is none of {}", allowed.join(", "))
    })
}

pub(super) fn within<T: PartialOrd + Display>(
    value: T,
    range: &RangeInclusive<T>,
    field: &str,
) -> Result<(), SpecFault> {
    holds(range.contains(&value), field, || {
        format!("{value} is not in {} to {}", range.start(), range.end())
    })
}

pub(super) fn holds(
    condition: bool,
    field: &str,
    message: impl FnOnce() -> String,
) -> Result<(), SpecFault> {
    if condition {
        return Ok(());
    }
    Err(SpecFault {
        field: field.to_owned(),
        message: message(),
    })
}
