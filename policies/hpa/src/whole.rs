//! Metrics that do not speak of pods: `Object` and `External` (steps 11 and 12 of
//! the algorithm).

use flyball_policy::{Metric, Replica, Source};

use crate::failure::Failure;
use crate::per_pod::replicas;
use crate::{Answer, Tolerance};

pub(crate) fn ask(input: &Replica, metric: Metric<'_>) -> Result<Answer, Failure> {
    if let Some(failure) = Failure::invalid_selector(&metric) {
        return Err(failure);
    }
    let target = target(&metric)?;
    if let Some(failure) = Failure::unavailable(&metric) {
        return Err(failure);
    }
    match target {
        Target::Value(target) => against_value(input, sum(&metric), target),
        Target::Average(target) => Ok(against_average(input, &metric, target)),
    }
}

/// What the metric is held against, in milli.
#[derive(Clone, Copy, Debug)]
enum Target {
    Value(i64),
    Average(i64),
}

fn target(metric: &Metric<'_>) -> Result<Target, Failure> {
    let columns = metric.columns();
    let value = columns.target_value.map(Target::Value);
    let average = columns.target_average_value.map(Target::Average);
    if metric.source() == Source::External {
        let text = "invalid external metric source: neither a value target nor an average value \
                    target was set";
        return average
            .or(value)
            .ok_or_else(|| Failure::invalid_target("invalidExternalTarget", text));
    }
    let chosen = match columns.target_type.as_str() {
        "Value" => value,
        "AverageValue" => average,
        _ => None,
    };
    let text = "invalid object metric source: neither a value target nor an average value target \
                was set";
    chosen.ok_or_else(|| Failure::invalid_target("invalidObjectTarget", text))
}

fn sum(metric: &Metric<'_>) -> i64 {
    metric
        .samples()
        .fold(0, |sum, sample| sum.saturating_add(sample.milli))
}

fn against_value(input: &Replica, usage: i64, target: i64) -> Result<Answer, Failure> {
    let ratio = usage as f64 / target as f64;
    let replicas = if input.current() == 0 {
        ratio.ceil() as i32
    } else if Tolerance::of(input).covers(ratio) {
        input.current()
    } else if input.pods().len() == 0 {
        return Err(Failure::no_pods());
    } else {
        let ready = usize::try_from(input.ready()).unwrap_or_default();
        replicas(ratio, ready)
    };
    Ok(Answer {
        replicas,
        value: Some(usage),
        ..Answer::default()
    })
}

fn against_average(input: &Replica, metric: &Metric<'_>, target: i64) -> Answer {
    let external = metric.source() == Source::External;
    if external && overflows(metric) {
        return Answer {
            replicas: i32::MAX,
            average: Some(i64::MAX),
            ..Answer::default()
        };
    }
    let usage = sum(metric) as f64;
    let running = f64::from(input.running());
    let ratio = usage / (target as f64 * running);
    let replicas = if Tolerance::of(input).covers(ratio) {
        input.running()
    } else {
        (usage / target as f64).ceil() as i32
    };
    let average = (usage / running).ceil() as i64;
    Answer {
        replicas,
        average: Some(average),
        ..Answer::default()
    }
}

/// Upstream takes any negative running sum for an overflow.
fn overflows(metric: &Metric<'_>) -> bool {
    let mut sum = 0_i64;
    metric
        .samples()
        .any(|sample| match sum.checked_add(sample.milli) {
            Some(next) if next >= 0 => {
                sum = next;
                false
            }
            _ => true,
        })
}
