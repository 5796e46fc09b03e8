//! Metric histories for policies that want them: means over time steps. A history is kept
//! as long as a policy of the object asks for it.

use std::collections::VecDeque;

use flyball_decision::context::GrantedInput;
use flyball_decision::memory::SavedHistory;
use flyball_decision::policy::WantedInput;
use flyball_decision::replica::MetricInput;
use flyball_decision::time::{Timestamp, parse_duration};

/// Kind of the wanted input.
pub const KIND: &str = "metric-history";

/// Maximum number of steps of a history.
const MAX_STEPS: i64 = 256;

/// The histories of one object.
#[derive(Debug, Default)]
pub struct Histories {
    list: Vec<History>,
    /// Whether a step has ended since the last call of [`Histories::keep`].
    changed: bool,
}

/// Means of a metric over steps; the latest step is still running.
#[derive(Debug)]
struct History {
    metric: String,
    step_ms: i64,
    steps: i64,
    /// Number of each step (time divided by its length) and its mean.
    means: VecDeque<(i64, f32)>,
    running: Option<Running>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    step: i64,
    sum: f64,
    count: f64,
}

/// A parsed request for a history.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    metric: String,
    step_ms: i64,
    steps: i64,
}

impl Histories {
    /// Adds the metrics of an observation to the histories that are wanted now. Drops
    /// histories that are no longer wanted.
    pub fn observe<'a>(
        &mut self,
        now: Timestamp,
        wanted: impl Iterator<Item = &'a WantedInput>,
        metrics: &[impl AsRef<MetricInput>],
    ) {
        let wishes: Vec<Wish> = wanted
            .filter(|wanted| wanted.kind == KIND)
            .filter_map(|wanted| Wish::read(wanted, metrics).ok())
            .collect();
        self.list
            .retain(|history| wishes.iter().any(|wish| history.is_for(wish)));
        for wish in wishes {
            let found = metrics
                .iter()
                .map(AsRef::as_ref)
                .find(|metric| metric.name == wish.metric);
            let total = found.and_then(total);
            let known = self.list.iter().position(|history| history.is_for(&wish));
            let index = known.unwrap_or_else(|| {
                self.list.push(History::new(&wish));
                self.list.len() - 1
            });
            self.list[index].steps = self.list[index].steps.max(wish.steps);
            self.changed |= self.list[index].advance(now, total);
        }
    }

    /// Whether a step has ended since the last call of [`Histories::keep`].
    #[must_use]
    pub fn have_changed(&self) -> bool {
        self.changed
    }

    /// Returns the latest ended steps of each history, as many as fit into its share of
    /// `bytes`.
    pub fn keep(&mut self, bytes: usize) -> Vec<SavedHistory> {
        self.changed = false;
        let mut left = bytes;
        let mut parts = self.list.len();
        let mut kept = Vec::with_capacity(parts);
        for history in &self.list {
            let fitting = SavedHistory::fitting(&history.metric, left / parts);
            parts -= 1;
            if let Some(history) = history.keep(fitting) {
                left -= history.bytes();
                kept.push(history);
            }
        }
        kept
    }

    /// Continues histories from what was kept.
    #[must_use]
    pub fn restored(kept: &[SavedHistory]) -> Self {
        Self {
            list: kept.iter().map(History::restored).collect(),
            changed: false,
        }
    }

    /// Returns the history for a wanted input.
    #[must_use]
    pub fn grant(
        &self,
        now: Timestamp,
        wanted: &WantedInput,
        metrics: &[impl AsRef<MetricInput>],
    ) -> GrantedInput {
        let wish = match Wish::read(wanted, metrics) {
            Ok(wish) => wish,
            Err(error) => {
                return GrantedInput {
                    error,
                    ..GrantedInput::default()
                };
            }
        };
        let mut granted = GrantedInput::default();
        let first = now.0.div_euclid(wish.step_ms) - wish.steps;
        let history = self.list.iter().find(|history| history.is_for(&wish));
        for &(step, mean) in history.iter().flat_map(|history| &history.means) {
            if step >= first {
                granted
                    .times_ms
                    .push((step + 1).saturating_mul(wish.step_ms));
                granted.values.push(f64::from(mean));
            }
        }
        granted
    }
}

/// Returns the sum over pods or series, in the metric's unit. `None` if the metric has an
/// error or no values.
fn total(metric: &MetricInput) -> Option<f64> {
    let sum = metric
        .value
        .iter()
        .map(|&milli| i128::from(milli))
        .sum::<i128>();
    (metric.error.is_empty() && !metric.value.is_empty()).then(|| sum as f64 / 1000.0)
}

impl History {
    fn new(wish: &Wish) -> Self {
        let Wish {
            metric,
            step_ms,
            steps,
        } = wish.clone();
        Self {
            metric,
            step_ms,
            steps,
            means: VecDeque::new(),
            running: None,
        }
    }

    fn restored(kept: &SavedHistory) -> Self {
        let steps = (kept.first..).zip(&kept.means);
        Self {
            metric: kept.metric.clone(),
            step_ms: kept.step_ms,
            steps: 0,
            means: steps
                .filter_map(|(step, mean)| mean.map(|mean| (step, mean)))
                .collect(),
            running: None,
        }
    }

    /// Returns the steps of the latest means, at most `most`; steps without a mean count
    /// too.
    fn keep(&self, most: usize) -> Option<SavedHistory> {
        let &(last, _) = self.means.back()?;
        let earliest = last.saturating_sub(i64::try_from(most).ok()?) + 1;
        let mut fitting = self.means.iter().filter(|&&(step, _)| step >= earliest);
        let &(first, mean) = fitting.next()?;
        let mut kept = SavedHistory {
            metric: self.metric.clone(),
            step_ms: self.step_ms,
            first,
            means: vec![Some(mean)],
        };
        for &(step, mean) in fitting {
            let row = usize::try_from(step - first).ok()?;
            kept.means.resize(row, None);
            kept.means.push(Some(mean));
        }
        Some(kept)
    }

    fn is_for(&self, wish: &Wish) -> bool {
        self.metric == wish.metric && self.step_ms == wish.step_ms
    }

    /// Ends the running step if `now` is beyond it, then adds to the step of `now`.
    /// Returns whether a step has ended.
    fn advance(&mut self, now: Timestamp, total: Option<f64>) -> bool {
        let step = now.0.div_euclid(self.step_ms);
        // The clock was set back: these steps are measured again.
        self.running.take_if(|running| running.step > step);
        while self.means.back().is_some_and(|&(known, _)| known >= step) {
            self.means.pop_back();
        }
        let done = self.running.take_if(|running| running.step != step);
        if let Some(done) = done {
            self.means
                .push_back((done.step, (done.sum / done.count) as f32));
        }
        let oldest = step - self.steps;
        while self.means.front().is_some_and(|&(step, _)| step < oldest) {
            self.means.pop_front();
        }
        if let Some(total) = total {
            let running = self.running.get_or_insert(Running {
                step,
                sum: 0.0,
                count: 0.0,
            });
            running.sum += total;
            running.count += 1.0;
        }
        done.is_some()
    }
}

impl Wish {
    fn read(wanted: &WantedInput, metrics: &[impl AsRef<MetricInput>]) -> Result<Self, String> {
        let argument = |name: &str| {
            let mut arguments = wanted.arguments.iter();
            arguments
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let duration = |name: &str| {
            let text = argument(name).ok_or_else(|| format!("{KIND} needs the argument {name}"))?;
            let ms = parse_duration(text).filter(|&ms| ms > 0);
            ms.ok_or_else(|| format!("{KIND}: {name} {text:?} is no duration such as 30s or 1h"))
        };
        let first = metrics.first().map(|metric| metric.as_ref().name.as_str());
        let metric = argument("metric").or(first).unwrap_or_default();
        if !metrics
            .iter()
            .any(|candidate| candidate.as_ref().name == metric)
        {
            return Err(format!("{KIND}: the object has no metric {metric:?}"));
        }
        let (window_ms, step_ms) = (duration("window")?, duration("step")?);
        let steps = window_ms / step_ms;
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(format!(
                "{KIND}: a window has 1 to {MAX_STEPS} steps, not {steps}"
            ));
        }
        Ok(Self {
            metric: metric.to_owned(),
            step_ms,
            steps,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Histories, KIND};
    use flyball_decision::policy::WantedInput;
    use flyball_decision::replica::MetricInput;
    use flyball_decision::time::Timestamp;

    fn wish(window: &str, step: &str) -> WantedInput {
        let arguments = [("window", window), ("step", step)];
        let arguments = arguments.map(|(key, value)| (key.to_owned(), value.to_owned()));
        WantedInput {
            kind: KIND.to_owned(),
            arguments: arguments.into(),
        }
    }

    fn cpu(milli: i64) -> [Arc<MetricInput>; 1] {
        let name = "cpu".to_owned();
        [Arc::new(MetricInput {
            name,
            value: vec![milli, milli],
            ..MetricInput::default()
        })]
    }

    #[test]
    fn a_history_has_the_means_of_whole_steps_within_the_window() {
        let wish = wish("1m", "30s");
        let mut histories = Histories::default();
        for second in (0..=120).step_by(15) {
            let now = Timestamp(second * 1000);
            histories.observe(now, std::iter::once(&wish), &cpu(second * 1000));
        }
        let granted = histories.grant(Timestamp(120_000), &wish, &cpu(0));
        assert_eq!(granted.error, "");
        assert_eq!(granted.times_ms, [90_000, 120_000]);
        assert_eq!(granted.values, [135.0, 195.0]);
    }

    #[test]
    fn steps_that_come_again_are_measured_again() {
        let wish = wish("1m", "30s");
        let mut histories = Histories::default();
        for second in [0, 30, 60, 90, 120, 30, 60, 90] {
            let now = Timestamp(second * 1000);
            histories.observe(now, std::iter::once(&wish), &cpu(500 * second));
        }
        let granted = histories.grant(Timestamp(90_000), &wish, &cpu(0));
        assert_eq!(granted.times_ms, [60_000, 90_000]);
        assert_eq!(granted.values, [30.0, 60.0]);
    }

    #[test]
    fn a_wish_that_cannot_be_granted_says_why() {
        let histories = Histories::default();
        let grant = |wish| histories.grant(Timestamp(0), &wish, &cpu(0)).error;
        assert!(grant(wish("1d", "1s")).contains("86400"));
        assert!(grant(wish("soon", "1s")).contains("soon"));
    }
}
