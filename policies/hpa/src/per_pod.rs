//! Metrics of pods: `Resource`, `ContainerResource` and `Pods` (steps 7 to 9 of
//! the algorithm).

use flyball_policy::{Metric, Replica, Request, Source};

use crate::failure::Failure;
use crate::grouping::{Group, Groups};
use crate::{Answer, Tolerance};

pub(crate) fn ask(input: &Replica, metric: Metric<'_>) -> Result<Answer, Failure> {
    if let Some(failure) = Failure::invalid_selector(&metric) {
        return Err(failure);
    }
    let target = target(&metric)?;
    if let Some(failure) = Failure::unavailable(&metric) {
        return Err(failure);
    }
    if input.pods().len() == 0 {
        return Err(Failure::no_pods());
    }
    let groups = Groups::of(input, &metric);
    if groups.sample_count == 0 {
        let text = "did not receive metrics for targeted pods (pods might be unready)";
        return Err(Failure::measured("noUsableMetrics", text));
    }
    if let Target::Utilization(_) = target {
        check_requests(input, &metric)?;
    }
    let calculation = Calculation {
        metric,
        target,
        groups,
    };
    calculation.answer(input.current(), Tolerance::of(input))
}

/// What usage is held against.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Percent of the request.
    Utilization(i32),
    /// The average over pods, in milli.
    Average(i64),
}

fn target(metric: &Metric<'_>) -> Result<Target, Failure> {
    let columns = metric.columns();
    let utilization = match metric.source() {
        Source::Pods => None,
        _ => columns.target_average_utilization,
    };
    match (columns.target_average_value, utilization) {
        (Some(milli), _) => Ok(Target::Average(milli)),
        (None, Some(percent)) => Ok(Target::Utilization(percent)),
        (None, None) => Err(Failure::invalid_target(
            "invalidResourceTarget",
            "invalid resource metric source: neither an average utilization target nor an \
             average value (usage) target was set",
        )),
    }
}

/// Every pod must have a request, even one that is on its way out.
fn check_requests(input: &Replica, metric: &Metric<'_>) -> Result<(), Failure> {
    let requests = &metric.columns().request;
    let signs = requests.iter().fold(0, |signs, &request| signs | request);
    if requests.len() >= input.pods().len() && signs >= 0 {
        return Ok(());
    }
    for row in 0..input.pods().len() {
        let (class, text) = match metric.request(row) {
            Some(Request::Milli(_)) => continue,
            Some(Request::NoContainer) => {
                let text = format!(
                    "container {} not found in Pod {{pod:{row}}}",
                    metric.container()
                );
                ("containerNotFound", text)
            }
            Some(Request::MissingAtPodLevel) => {
                let text = format!(
                    "missing pod-level request for {} in Pod {{pod:{row}}}",
                    metric.name()
                );
                ("missingPodLevelRequest", text)
            }
            Some(Request::Missing) | None => {
                let text = format!(
                    "missing request for {} in container {{container:{}:{row}}} of Pod {{pod:{row}}}",
                    metric.name(),
                    metric.index()
                );
                ("missingRequest", text)
            }
        };
        return Err(Failure::measured(class, text));
    }
    Ok(())
}

struct Calculation<'a> {
    metric: Metric<'a>,
    target: Target,
    groups: Groups,
}

/// Usage in sum, and how it compares with the target.
#[derive(Clone, Copy, Debug)]
struct Usage {
    ratio: f64,
    utilization: Option<i32>,
    average: i64,
}

/// Sums over pods, as upstream's integers (saturating where those wrap).
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    used: i64,
    requested: i64,
    pods: i64,
}

impl Sums {
    fn add(&mut self, used: i64, requested: i64) {
        self.used = self.used.saturating_add(used);
        self.requested = self.requested.saturating_add(requested);
        self.pods += 1;
    }

    fn against(self, target: Target) -> Result<Usage, Failure> {
        match target {
            Target::Average(target) => {
                let average = self.used / self.pods.max(1);
                Ok(Usage {
                    ratio: average as f64 / target as f64,
                    utilization: None,
                    average,
                })
            }
            Target::Utilization(_) if self.requested == 0 => {
                let text = "no metrics returned matched known pods";
                Err(Failure::measured("noMatchingRequests", text))
            }
            Target::Utilization(target) => {
                let utilization = percent(self.used, self.requested);
                Ok(Usage {
                    ratio: f64::from(utilization) / f64::from(target),
                    utilization: Some(utilization),
                    average: self.used / self.pods.max(1),
                })
            }
        }
    }
}

impl Calculation<'_> {
    fn answer(&self, current: i32, tolerance: Tolerance) -> Result<Answer, Failure> {
        let mut sums = self.measured();
        let usage = sums.against(self.target)?;
        let some = |group| self.groups.count(group) > 0;
        let unready_on_rise = usage.ratio > 1.0 && some(Group::Unready);
        let replicas = if !some(Group::Missing) && !unready_on_rise {
            if tolerance.covers(usage.ratio) {
                current
            } else {
                replicas(usage.ratio, self.groups.count(Group::Ready))
            }
        } else {
            self.dampen(&mut sums, usage.ratio);
            let dampened = sums.against(self.target)?.ratio;
            self.dampened_replicas(usage.ratio, dampened, current, tolerance)
        };
        let Usage {
            utilization,
            average,
            ..
        } = usage;
        Ok(Answer {
            replicas,
            utilization,
            average: Some(average),
            value: None,
        })
    }

    /// Sums over the samples that count. A utilization leaves out pods that are not the
    /// target's, an average does not.
    fn measured(&self) -> Sums {
        if let Some(sums) = self.settled_sums() {
            return sums;
        }
        let mut sums = Sums::default();
        for (pod, milli) in self.groups.samples(&self.metric) {
            match self.target {
                Target::Average(_) => sums.add(milli, 0),
                Target::Utilization(_) if self.groups.knows(pod) => {
                    sums.add(milli, self.request(pod));
                }
                Target::Utilization(_) => {}
            }
        }
        sums
    }

    /// Returns those sums if each pod has one sample and all count: column by column.
    fn settled_sums(&self) -> Option<Sums> {
        if !self.groups.are_settled {
            return None;
        }
        let columns = self.metric.columns();
        let requested = match self.target {
            Target::Average(_) => 0,
            Target::Utilization(_) => sum(columns.request.get(..columns.value.len())?)?,
        };
        Some(Sums {
            used: sum(&columns.value)?,
            requested,
            pods: i64::try_from(columns.value.len()).ok()?,
        })
    }

    /// Counts pods without a metric against the direction, and on a rise those
    /// that are not ready as idle.
    fn dampen(&self, sums: &mut Sums, ratio: f64) {
        for row in self.groups.rows(Group::Missing) {
            if ratio < 1.0 {
                sums.add(self.full(row), self.request(row));
            } else if ratio > 1.0 {
                sums.add(0, self.request(row));
            }
        }
        if ratio > 1.0 {
            for row in self.groups.rows(Group::Unready) {
                sums.add(0, self.request(row));
            }
        }
    }

    fn dampened_replicas(
        &self,
        before: f64,
        after: f64,
        current: i32,
        tolerance: Tolerance,
    ) -> i32 {
        let turned = (before < 1.0 && after > 1.0) || (before > 1.0 && after < 1.0);
        if tolerance.covers(after) || turned {
            return current;
        }
        let replicas = replicas(after, self.counted(before));
        let against = (after < 1.0 && replicas > current) || (after > 1.0 && replicas < current);
        if against { current } else { replicas }
    }

    /// Metrics after dampening, including those of pods that are not the target's.
    fn counted(&self, ratio: f64) -> usize {
        let groups = &self.groups;
        let missing = if ratio == 1.0 {
            0
        } else {
            groups.count(Group::Missing)
        };
        let unready = if ratio > 1.0 {
            groups.count(Group::Unready)
        } else {
            0
        };
        groups.sample_count + missing + unready
    }

    /// Usage of a pod without a metric that counts as being on target, or at its
    /// request if the target is lower.
    fn full(&self, row: usize) -> i64 {
        match self.target {
            Target::Average(target) => target,
            Target::Utilization(target) => {
                self.request(row).saturating_mul(i64::from(target.max(100))) / 100
            }
        }
    }

    /// The request of the pod in that row, in milli. [`check_requests`] has reported
    /// every unknown request before.
    fn request(&self, row: usize) -> i64 {
        let request = self.metric.columns().request.get(row);
        match self.target {
            Target::Utilization(_) => request.map_or(0, |&milli| milli.max(0)),
            Target::Average(_) => 0,
        }
    }
}

/// Replicas that bring `count` pods from `ratio` times the target to it.
pub(crate) fn replicas(ratio: f64, count: usize) -> i32 {
    (ratio * count as f64).ceil() as i32
}

/// Returns a column's sum. `None` if its numbers are so large that it might not fit.
fn sum(column: &[i64]) -> Option<i64> {
    let (sum, magnitude) = column.iter().fold((0_i64, 0), |(sum, magnitude), &milli| {
        (sum.wrapping_add(milli), magnitude | (milli ^ (milli >> 63)))
    });
    // Each number has so many bits, and there are fewer than 2^rows of them.
    let bits = u64::BITS - magnitude.leading_zeros();
    let rows = usize::BITS - column.len().leading_zeros();
    (bits + rows < 63).then_some(sum)
}

/// `used` in percent of `requested`, truncated as upstream does it. Where its product of
/// 64 bits wraps around this one does not: a bound there could put a workload under its
/// target that is far above.
fn percent(used: i64, requested: i64) -> i32 {
    let percent = match used.checked_mul(100) {
        Some(product) => i128::from(product / requested),
        None => i128::from(used) * 100 / i128::from(requested),
    };
    i32::try_from(percent).unwrap_or(if percent < 0 { i32::MIN } else { i32::MAX })
}
