//! The built-in policy `hpa`: the arithmetic of HorizontalPodAutoscaler
//! autoscaling/v2 as Kubernetes 1.36.3 has it, from the grouping of pods to the
//! maximum over metrics. Bounds, stabilization and rate policies (`behavior`)
//! are not here: the host holds them for every policy.
//!
//! The order of floating-point operations and the truncation of integers are
//! upstream's, to the letter. Where upstream's integers wrap around, or a
//! conversion is out of range, this policy saturates.

use flyball_policy::{Decision, Metric, Proposal, Replica};

mod failure;
mod grouping;
mod names;
mod per_pod;
mod tolerance;
mod whole;

use failure::Failure;
use tolerance::Tolerance;

flyball_policy::replica_policy! {
    summary: "The arithmetic of HorizontalPodAutoscaler autoscaling/v2",
    decide: decide,
}

/// Asks every metric, and follows the one that wants the most replicas. If a
/// metric fails, nothing is scaled down; if all fail, nothing is scaled at all.
pub fn decide(input: &Replica) -> Decision {
    let proposals: Vec<Proposal> = input
        .metrics()
        .map(|metric| propose(input, metric))
        .collect();
    let leading = highest(&proposals);
    let first_failure = proposals
        .iter()
        .find(|proposal| proposal.replicas().is_none());
    let current = i64::from(input.current());
    let decision = match (leading, first_failure) {
        (None, _) => held(&proposals, first_failure),
        (Some((_, replicas)), Some(_)) if replicas < current => held(&proposals, first_failure),
        (Some((row, replicas)), _) => follow(&proposals[row], replicas, current).led_by(row),
    };
    decision.with_proposals(proposals)
}

/// What a metric asks for: replicas, and what is reported of it.
fn propose(input: &Replica, metric: Metric<'_>) -> Proposal {
    let name = names::in_events(&metric);
    match ask(input, metric) {
        Ok(answer) => answer.proposal().argument("metric", name),
        Err(failure) => failure.proposal(&metric).argument("metric", name),
    }
}

fn ask(input: &Replica, metric: Metric<'_>) -> Result<Answer, Failure> {
    use flyball_policy::Source;
    match metric.source() {
        Source::Resource | Source::ContainerResource | Source::Pods => per_pod::ask(input, metric),
        Source::Object | Source::External => whole::ask(input, metric),
        Source::Other => Err(Failure::unknown_type(&metric)),
    }
}

/// What a metric asks for, and the figures to be reported.
#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    replicas: i32,
    utilization: Option<i32>,
    average: Option<i64>,
    value: Option<i64>,
}

impl Answer {
    fn proposal(self) -> Proposal {
        let mut proposal = Proposal::to(self.replicas);
        if let Some(percent) = self.utilization {
            proposal = proposal.with_utilization(percent.into());
        }
        if let Some(milli) = self.average {
            proposal = proposal.with_average(milli);
        }
        if let Some(milli) = self.value {
            proposal = proposal.with_value(milli);
        }
        proposal
    }
}

/// The row and the replicas of the proposal to follow. Zero gives way to
/// whatever comes later, as upstream has it.
fn highest(proposals: &[Proposal]) -> Option<(usize, i64)> {
    let mut best = None;
    for (row, replicas) in proposals
        .iter()
        .enumerate()
        .filter_map(|(r, p)| Some((r, p.replicas()?)))
    {
        match best {
            Some((_, most)) if most != 0 && replicas <= most => {}
            _ => best = Some((row, replicas)),
        }
    }
    best
}

fn follow(proposal: &Proposal, replicas: i64, current: i64) -> Decision {
    let metric = proposal.reason().get("metric").unwrap_or_default();
    let (code, sentence) = match replicas.cmp(&current) {
        std::cmp::Ordering::Greater => ("AboveTarget", format!("{metric} above target")),
        std::cmp::Ordering::Less => ("BelowTarget", "All metrics below target".to_owned()),
        std::cmp::Ordering::Equal => ("OnTarget", format!("{metric} asks for what there is")),
    };
    // Negative values measured can ask for less than nothing: upstream then goes by 0.
    Decision::to(replicas.max(0))
        .because(code, sentence)
        .argument("metric", metric)
}

fn held(proposals: &[Proposal], first_failure: Option<&Proposal>) -> Decision {
    let Some(first) = first_failure else {
        return Decision::hold("there is no metric to go by").because("NoMetrics", "no metrics");
    };
    let invalid = proposals
        .iter()
        .filter(|proposal| proposal.replicas().is_none())
        .count();
    let sentence = format!(
        "invalid metrics ({invalid} invalid out of {}), first error is: {}",
        proposals.len(),
        first.reason().sentence
    );
    Decision::hold("")
        .because("InvalidMetrics", sentence)
        .argument("class", first.error())
        .argument("metric", first.reason().get("metric").unwrap_or_default())
}
