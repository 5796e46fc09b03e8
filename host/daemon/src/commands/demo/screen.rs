//! Output of the demo: a live line on a terminal, and important decisions above it.

use std::path::Path;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use flyball_decision::recorder::Recorder;
use flyball_decision::time::Timestamp;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::{DecisionRecord, Outcome};
use flyball_simulation::{Progress, Scenario, Totals};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{self, DIM, GOOD, POLICY, STRONG, WARNING, styled};
use crate::recorders::policies;

/// Minimum time of the scenario between two decisions that are printed.
const GAP_MS: i64 = 45 * 60_000;
/// Width of the column of policies: a name and a short digest.
const POLICY_WIDTH: usize = 20;
/// Maximum number of characters of a reason.
const REASON_WIDTH: usize = 72;

/// The terminal, or plain output.
pub struct Screen {
    bar: ProgressBar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    totals: Totals,
    /// Time of the last decision that was printed.
    printed: Option<Timestamp>,
    /// Policies of the last decision.
    policy: String,
    /// When the other policy was copied into the directory.
    dropped: Option<Instant>,
}

impl Screen {
    /// Creates the screen and prints its heading.
    pub fn new(scenario: &Scenario) -> Self {
        let bar = if output::is_interactive() {
            ProgressBar::new(u64::try_from(scenario.duration.0).unwrap_or_default())
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{bar:24.cyan/dim}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let screen = Self {
            bar,
            state: Mutex::default(),
        };
        let heading = figures("TIME", "LOAD", "CPU", "READY", "REPLICAS");
        screen.print(&styled(
            STRONG,
            format!("{heading}  {:<POLICY_WIDTH$}  WHY", "POLICY"),
        ));
        screen
    }

    /// Updates the live line.
    pub fn show(&self, progress: &Progress) {
        let mut state = self.state();
        state.totals = progress.totals;
        let Totals {
            load,
            replicas,
            ready,
            utilization,
            ..
        } = progress.totals;
        self.bar
            .set_position(u64::try_from(progress.elapsed_ms).unwrap_or_default());
        self.bar.set_message(format!(
            "{}  load {load:>3.0}/s  cpu {:>3.0}%  {replicas} replicas, {ready} ready  {}",
            output::time_of_day(progress.at),
            utilization * 100.0,
            state.policy,
        ));
    }

    /// Prints that a file was copied into the policies directory.
    pub fn dropped_in(&self, at: Timestamp, name: &str, file: &Path) {
        self.state().dropped = Some(Instant::now());
        let text = format!("another policy, {name}, was copied to {}", file.display());
        self.print(&format!(
            "{}  {}",
            output::time_of_day(at),
            styled(WARNING, text)
        ));
    }

    /// Removes the live line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints above the live line.
    fn print(&self, line: &str) {
        // The day goes on if standard output is closed.
        self.bar.suspend(|| {
            use std::io::Write as _;
            let _ = writeln!(output::out(), "{line}");
        });
    }

    fn print_takeover(&self, at: Timestamp, before: &str, after: &str, dropped: Option<Instant>) {
        let passed =
            dropped.map(|dropped| format!(", {} later", output::elapsed(dropped.elapsed())));
        let text = format!(
            "{after} took over from {before}{}, without a restart",
            passed.unwrap_or_default()
        );
        self.print(&format!(
            "{}  {}",
            output::time_of_day(at),
            styled(GOOD, text)
        ));
    }

    fn print_decision(&self, record: &DecisionRecord, totals: &Totals, policy: &str) {
        let (from, to) = (
            record.verdict.from.unwrap_or_default(),
            record.verdict.to.unwrap_or_default(),
        );
        let figures = figures(
            &output::time_of_day(record.at),
            &format!("{:.0}/s", totals.load),
            &format!("{:.0}%", totals.utilization * 100.0),
            &totals.ready.to_string(),
            &format!("{from} → {to}"),
        );
        let policy = styled(POLICY, format!("{policy:<POLICY_WIDTH$}"));
        self.print(&format!(
            "{figures}  {policy}  {}",
            styled(DIM, reason(record))
        ));
    }
}

impl Recorder<DecisionRecord> for Screen {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.show_decision(record);
    }
}

impl Recorder<NodeDecisionRecord> for Screen {
    // The demo's cluster has no nodes.
    fn record(&self, _: &Arc<NodeDecisionRecord>) {}
}

impl Screen {
    fn show_decision(&self, record: &DecisionRecord) {
        let policy = policies(record);
        let mut state = self.state();
        let before = std::mem::replace(&mut state.policy, policy.clone());
        let took_over = !before.is_empty() && before != policy;
        let quiet = state
            .printed
            .is_some_and(|printed| record.at.since(printed) < GAP_MS);
        let printed = record.outcome == Outcome::Scaled && (took_over || !quiet);
        if printed {
            state.printed = Some(record.at);
        }
        let (totals, dropped) = (state.totals, state.dropped);
        drop(state);
        if took_over {
            self.print_takeover(record.at, &before, &policy, dropped);
        }
        if printed {
            self.print_decision(record, &totals, &policy);
        }
    }
}

fn figures(time: &str, load: &str, cpu: &str, ready: &str, replicas: &str) -> String {
    format!("{time:<5}  {load:>6}  {cpu:>5}  {ready:>5}  {replicas:>9}")
}

/// Returns the policy's own reason, truncated to the width.
fn reason(record: &DecisionRecord) -> String {
    let own = record
        .policies
        .iter()
        .find_map(|policy| match &policy.answer {
            Ok(decision) => Some(decision.reason.sentence.as_str()),
            Err(_) => None,
        });
    let text = own
        .filter(|own| !own.is_empty())
        .unwrap_or(&record.verdict.message);
    if text.chars().count() <= REASON_WIDTH {
        return text.to_owned();
    }
    text.chars().take(REASON_WIDTH - 1).chain(['…']).collect()
}
