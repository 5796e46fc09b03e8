//! A policy for Flyball: how many replicas should a workload have?

use flyball_policy::{Decision, Replica};
use schemars::JsonSchema;
use serde::Deserialize;

/// What the operator may set in the policy's `config`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// The share of its request that a pod should use.
    #[schemars(range(min = 0.05, max = 1.0))]
    pub target: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { target: 0.5 }
    }
}

/// Decides. The same input always gives the same answer: there is no clock, no
/// network and nothing to remember but the state.
pub fn decide(input: &Replica<Config>) -> Decision {
    let Some(metric) = input.metrics().next() else {
        return Decision::hold("the spec has no metric");
    };
    let Some(used) = metric.utilization() else {
        return Decision::hold(format!(
            "no pod has both usage and a request of {}",
            metric.name()
        ));
    };
    let target = input.config().target;
    let wanted = f64::from(input.ready()) * used / target;
    Decision::to(wanted.ceil() as i64).because(
        "Load",
        format!(
            "{:.0}% used where {:.0}% is right",
            used * 100.0,
            target * 100.0
        ),
    )
}

flyball_policy::replica_policy! {
    summary: "Keeps pods at a share of their request",
    config: Config,
    decide: decide,
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyball_policy::{MetricSpec, Request};

    #[test]
    fn grows_with_the_load() {
        let input = Replica::<Config>::build();
        let now = input.now();
        let cpu = MetricSpec::resource("cpu")
            .requests([Request::Milli(500); 2])
            .samples(now, [450, 450]);
        let decision = decide(&input.replicas(2, 2).ready_pods(2).metric(cpu).done());
        assert_eq!(decision.replicas(), Some(4));
    }

    #[test]
    fn holds_without_a_metric() {
        let decision = decide(&Replica::build().ready_pods(2).done());
        assert_eq!(decision.replicas(), None);
    }
}
