//! Output of the demo: live lines on a terminal, and above them the important decisions,
//! orders and changes of policy.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flyball_decision::policy::PolicyVersion;
use flyball_decision::recorder::Recorder;
use flyball_decision::text;
use flyball_decision::time::Timestamp;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::{DecisionRecord, Outcome};
use flyball_simulation::{Progress, Scenario, Totals};
use indicatif::{ProgressBar, ProgressStyle};

use super::swap::Swap;
use super::tally::{self, Tally};
use crate::output::{self, DIM, GOOD, POLICY, STRONG, WARNING, styled};

/// Minimum time of the scenario between two decisions on replicas that are printed.
const GAP_MS: i64 = 60 * 60_000;
/// Width of the columns before the text of a line, with the space after them.
const FIGURES_WIDTH: usize = 38;
/// Minimum width of the text of a line.
const MIN_TEXT_WIDTH: usize = 20;

/// The terminal, or plain output.
pub struct Screen {
    bar: ProgressBar,
    /// Maximum width of the text of a line.
    text_width: usize,
    /// Digests and names of the components that take over.
    names: Vec<(String, String)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    totals: Totals,
    /// Time of the last decision on replicas that was printed.
    printed: Option<Timestamp>,
    /// The policy of the last decision on replicas.
    policy: Option<Arc<PolicyVersion>>,
    /// Names of the active policies.
    active: Vec<String>,
    /// Times of the orders of the nodes that are on their way, one for each node.
    coming: VecDeque<Timestamp>,
    tally: Tally,
}

impl Screen {
    /// Creates the screen and prints its heading.
    pub fn new(scenario: &Scenario, swaps: &[Swap]) -> Self {
        let bar = if output::is_interactive() {
            ProgressBar::new(u64::try_from(scenario.duration.0).unwrap_or_default())
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{bar:32.cyan/dim}  {prefix}\n{msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let names = swaps
            .iter()
            .map(|swap| (swap.digest.clone(), swap.source.name.clone()));
        let state = State {
            active: swaps.iter().map(|swap| swap.in_use.to_owned()).collect(),
            ..State::default()
        };
        let screen = Self {
            bar,
            text_width: output::width()
                .saturating_sub(FIGURES_WIDTH)
                .max(MIN_TEXT_WIDTH),
            names: names.collect(),
            state: Mutex::new(state),
        };
        let heading = figures(["TIME", "LOAD", "CPU", "PODS", "NODES"]);
        screen.print(&styled(STRONG, format!("{heading}WHAT")));
        screen
    }

    /// Updates the live lines. Prints a line if nodes have become Ready.
    pub fn show(&self, progress: &Progress) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.totals, progress.totals);
        let totals = &progress.totals;
        let ready = |totals: &Totals| totals.nodes.map_or(0, |nodes| nodes.ready);
        let came = ready(totals).saturating_sub(ready(&before)) as usize;
        let came = came.min(state.coming.len());
        let ordered = state.coming.drain(..came).next();
        let active = state.active.join(", ");
        drop(state);
        if let Some(ordered) = ordered {
            self.print_ready(progress.at, totals, came, ordered);
        }
        self.bar
            .set_position(u64::try_from(progress.elapsed_ms).unwrap_or_default());
        self.bar.set_prefix(format!(
            "{}  load {:.0}/s  cpu {:.0}%",
            output::time_of_day(progress.at),
            totals.load,
            totals.utilization * 100.0
        ));
        let nodes = totals.nodes.unwrap_or_default();
        let coming = match nodes.ordered.saturating_sub(nodes.ready) {
            0 => String::new(),
            coming => format!(", {coming} on the way"),
        };
        self.bar.set_message(format!(
            "{} pods, {} ready  {} nodes{coming}  {}",
            totals.replicas,
            totals.ready,
            nodes.ready,
            styled(POLICY, active),
        ));
    }

    /// Prints that a component was copied into the policies directory.
    pub fn print_copied(&self, at: Timestamp, swap: &Swap) {
        let (name, in_use) = (&swap.source.name, swap.in_use);
        let text = format!("copied into the policies directory: {name} as {in_use}.wasm");
        self.print_swap(at, &styled(WARNING, text));
    }

    /// Prints that a component took over.
    pub fn print_took_over(&self, at: Timestamp, swap: &Swap, after: Duration) {
        let (name, in_use) = (&swap.source.name, swap.in_use);
        let mut state = self.state();
        for active in state.active.iter_mut().filter(|active| *active == in_use) {
            active.clone_from(name);
        }
        drop(state);
        let after = output::elapsed(after);
        let text = format!("{name} took over from {in_use}, {after} later, without a restart");
        self.print_swap(at, &styled(GOOD, text));
    }

    /// Removes the live lines. Returns what was counted.
    pub fn finish(&self) -> Tally {
        self.bar.finish_and_clear();
        std::mem::take(&mut self.state().tally)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints above the live lines.
    fn print(&self, line: &str) {
        // The day goes on if standard output is closed.
        self.bar.suspend(|| {
            use std::io::Write as _;
            let _ = writeln!(output::out(), "{line}");
        });
    }

    fn print_swap(&self, at: Timestamp, text: &str) {
        self.print(&format!("{}  {text}", output::time_of_day(at)));
    }

    fn print_line(&self, at: Timestamp, totals: &Totals, pods: &str, text: &str) {
        let nodes = totals.nodes.unwrap_or_default();
        let nodes = match nodes.ordered.saturating_sub(nodes.ready) {
            0 => nodes.ready.to_string(),
            coming => format!("{} +{coming}", nodes.ready),
        };
        let figures = figures([
            &output::time_of_day(at),
            &format!("{:.0}/s", totals.load),
            &format!("{:.0}%", totals.utilization * 100.0),
            pods,
            &nodes,
        ]);
        self.print(&format!("{figures}{text}"));
    }

    fn print_ready(&self, at: Timestamp, totals: &Totals, count: usize, ordered: Timestamp) {
        let nodes = text::counted(count, "node");
        let after = at.since(ordered) / 1_000;
        let text = format!("{nodes} Ready, {after} s after the order");
        let text = styled(DIM, fitted(&text, self.text_width));
        self.print_line(at, totals, &totals.replicas.to_string(), &text);
    }

    /// Returns the name of a policy for people: of a component that took over its own,
    /// not the one of the file.
    fn name<'a>(&'a self, version: &'a PolicyVersion) -> &'a str {
        let mut names = self.names.iter();
        let name = names.find(|(digest, _)| **digest == *version.digest);
        name.map_or(&version.name, |(_, name)| name)
    }
}

impl Recorder<DecisionRecord> for Screen {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.show_decision(record);
    }
}

impl Recorder<NodeDecisionRecord> for Screen {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        self.show_orders(record);
    }
}

impl Screen {
    fn show_decision(&self, record: &DecisionRecord) {
        let mut policies = record.policies.iter();
        let policy = policies.find_map(|part| part.version.clone());
        let mut state = self.state();
        let totals = state.totals;
        state.tally.count_replicas(record, totals.utilization);
        // The first decision of each policy that scales is printed.
        let quiet = state
            .printed
            .is_some_and(|printed| record.at.since(printed) < GAP_MS);
        if record.outcome != Outcome::Scaled || (quiet && state.policy == policy) {
            return;
        }
        state.printed = Some(record.at);
        state.policy.clone_from(&policy);
        drop(state);
        let name = policy.as_deref().map_or("", |version| self.name(version));
        let room = self.text_width.saturating_sub(name.len() + 2);
        let text = format!(
            "{}: {}",
            styled(POLICY, name),
            styled(DIM, reason(record, room))
        );
        let replicas = |replicas: Option<i32>| replicas.unwrap_or_default();
        let (from, to) = (replicas(record.verdict.from), replicas(record.verdict.to));
        self.print_line(record.at, &totals, &format!("{from} → {to}"), &text);
    }

    fn show_orders(&self, record: &NodeDecisionRecord) {
        self.state().tally.count_nodes(record);
        for round in &record.rounds {
            let version = tally::chosen_by(round);
            let name = version.map_or("chance", |version| self.name(version));
            for (group, count) in tally::ordered(record, round) {
                let mut state = self.state();
                for _ in 0..count {
                    state.coming.push_back(record.at);
                }
                // The world has not moved since the order.
                let mut totals = state.totals;
                let coming = u32::try_from(state.coming.len()).unwrap_or(u32::MAX);
                if let Some(nodes) = &mut totals.nodes {
                    nodes.ordered = nodes.ready.saturating_add(coming);
                }
                drop(state);
                let nodes = text::counted(count as usize, &format!("{group} node"));
                let room = self.text_width.saturating_sub(name.len() + 1);
                let text = fitted(&format!("orders {nodes}"), room);
                let text = format!("{} {}", styled(POLICY, name), styled(GOOD, text));
                self.print_line(record.at, &totals, &totals.replicas.to_string(), &text);
            }
        }
    }
}

fn figures([time, load, cpu, pods, nodes]: [&str; 5]) -> String {
    let text = format!("{time:<5}  {load:>6}  {cpu:>4}  {pods:>7}  {nodes:>6}");
    format!("{text:<FIGURES_WIDTH$}")
}

/// Returns the policy's own sentence if it fits, else the code of its reason.
fn reason(record: &DecisionRecord, room: usize) -> String {
    let mut answers = record.policies.iter();
    let own = answers.find_map(|part| Some(&part.answer.as_ref().ok()?.reason));
    let (code, sentence) = match own {
        Some(own) if !own.sentence.is_empty() => (&own.code, &own.sentence),
        _ => (&record.verdict.reason, &record.verdict.message),
    };
    match sentence.chars().count() <= room || code.is_empty() {
        true => fitted(sentence, room),
        false => fitted(code, room),
    }
}

/// Returns a text, truncated if it is longer than `room` characters.
fn fitted(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept = room.saturating_sub(1);
    text.chars().take(kept).chain(['…']).collect()
}
