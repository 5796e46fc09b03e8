//! Scales for the load that is coming: fits a line through the last half hour of
//! the first metric, and provides for where it will be when new pods are ready.

use std::time::Duration;

use flyball_policy::{Decision, Metric, Refusal, Replica, Request, Target, Time, Want};
use schemars::JsonSchema;
use serde::Deserialize;

/// What the operator may set.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// How far to look ahead: the time that a pod takes to be of use.
    #[schemars(range(min = 0, max = 3600))]
    pub lead_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { lead_seconds: 180 }
    }
}

flyball_policy::replica_policy! {
    summary: "Scales ahead of a trend in the last half hour",
    config: Config,
    wants: [Want::history("30m", "1m")],
    decide: decide,
}

/// Provides for the higher of the load now and the load expected.
///
/// # Errors
/// If the host keeps no history.
pub fn decide(input: &Replica<Config>) -> Result<Decision, Refusal> {
    let Some(metric) = input.metrics().next() else {
        return Ok(Decision::hold("the spec has no metric"));
    };
    let history = input
        .granted(0)
        .ok_or_else(|| missing("the host granted nothing"))?;
    if let Some(error) = history.error() {
        return Err(missing(error));
    }
    let Some(each) = load_of_one_pod(&metric) else {
        return Ok(Decision::hold(
            "the target says nothing of the load of one pod",
        ));
    };
    let now = metric.total();
    let lead = Duration::from_secs(input.config().lead_seconds.into());
    let expected = extrapolate(history.points(), input.now() + lead).unwrap_or(now);
    let replicas = (now.max(expected) / each).ceil() as i64;
    let lead = lead.as_secs();
    Ok(Decision::to(replicas)
        .because(
            "Trend",
            format!("load {now:.2} now, {expected:.2} in {lead} s"),
        )
        .argument("expected", expected))
}

fn missing(why: &str) -> Refusal {
    Refusal::new("MissingInput", why)
}

/// The load, in the metric's unit, that brings one pod to the target.
fn load_of_one_pod(metric: &Metric<'_>) -> Option<f64> {
    let each = match metric.target()? {
        Target::AverageValue(milli) => milli as f64 / 1000.0,
        Target::Utilization(percent) => mean_request(metric)? * f64::from(percent) / 100.0,
        Target::Value(_) => return None,
    };
    (each > 0.0).then_some(each)
}

fn mean_request(metric: &Metric<'_>) -> Option<f64> {
    let requests: Vec<f64> = metric
        .samples()
        .filter_map(|sample| match metric.request(sample.pod?)? {
            Request::Milli(milli) => Some(milli as f64 / 1000.0),
            _ => None,
        })
        .collect();
    (!requests.is_empty()).then(|| requests.iter().sum::<f64>() / requests.len() as f64)
}

/// Returns the value at `at` of the least-squares line through the points. `None` for
/// less than three points.
fn extrapolate(points: impl Iterator<Item = (Time, f64)>, at: Time) -> Option<f64> {
    // Ages keep the numbers small.
    let points: Vec<(f64, f64)> = points
        .map(|(time, load)| (-at.since(time).as_secs_f64(), load))
        .collect();
    if points.len() < 3 {
        return None;
    }
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (age, load) = (mean(|point| point.0), mean(|point| point.1));
    let spread = points.iter().map(|point| (point.0 - age) * (point.0 - age));
    let spread: f64 = spread.sum();
    let slope = points
        .iter()
        .map(|point| (point.0 - age) * (point.1 - load))
        .sum::<f64>()
        / spread;
    Some(load - slope * age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyball_policy::MetricSpec;

    #[test]
    fn runs_ahead_of_a_rise() {
        let now = Time::from_ms(1_800_000);
        let minutes = (0..30).map(|minute| (Time::from_ms(minute * 60_000), minute as f64 / 10.0));
        let load = MetricSpec::pods("requests")
            .target_average_value(1000)
            .samples(now, [1500, 1500]);
        let input = Replica::<Config>::build()
            .at(now)
            .ready_pods(2)
            .metric(load)
            .history(minutes);
        let decision = decide(&input.done());
        // Three now, a tenth more each minute: 3.3 in three minutes.
        assert_eq!(decision.map(|decision| decision.replicas()), Ok(Some(4)));
    }

    #[test]
    fn refuses_without_history() {
        let load = MetricSpec::pods("requests").target_average_value(1000);
        let input = Replica::<Config>::build()
            .metric(load)
            .not_granted("no history is kept");
        assert_eq!(decide(&input.done()), Err(missing("no history is kept")));
    }
}
