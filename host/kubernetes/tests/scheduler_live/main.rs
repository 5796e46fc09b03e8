#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]
//! Placement, compared with a running kube-scheduler: small clusters are generated from
//! a seed and built on a real control plane one after another. Before a pod is created,
//! we predict the nodes it fits on, and why it doesn't fit on the others. The scheduler
//! then must bind it to one of these nodes, or report the same reasons.

mod arena;
mod generate;
mod manifests;
mod plans;
mod pods;
mod removals;

use std::collections::{BTreeMap, BTreeSet};

use flyball_placement::{Misfit, Plugin};
use serde_json::{Value, json};

use crate::arena::{Arena, Prediction, Verdict};
use crate::generate::{Random, Scenario};

const SEED: u64 = 0xF1BA;

/// Returns how many clusters a test builds: `usual`, or as many times as
/// `FLYBALL_SCHEDULER_TIMES` says.
fn clusters(usual: usize) -> usize {
    let times = std::env::var("FLYBALL_SCHEDULER_TIMES");
    usual * times.map_or(1, |times| times.parse::<usize>().unwrap())
}

/// Filters that must have rejected a pod at least once.
const PLUGINS: [Plugin; 8] = [
    Plugin::SchedulingGates,
    Plugin::NodeUnschedulable,
    Plugin::TaintToleration,
    Plugin::NodeAffinity,
    Plugin::NodePorts,
    Plugin::NodeResourcesFit,
    Plugin::PodTopologySpread,
    Plugin::InterPodAffinity,
];

#[test]
fn the_scheduler_binds_pods_where_we_say_they_fit_and_else_gives_our_reasons() {
    let arena = Arena::start();
    let mut tally = Tally::default();
    let clusters = clusters(100);
    for round in 0..clusters {
        let scenario = Scenario::draw(&mut Random::new(SEED, round), round);
        arena.build(&scenario, round);
        for pod in &scenario.pending {
            let ours = arena.predict(&as_the_scheduler_reads(pod));
            let (theirs, as_written) = arena.submit(pod);
            let wrong = match disagreement(&ours, &theirs) {
                None if !as_written => Some("it is stored as another pod".to_owned()),
                wrong => wrong,
            };
            tally.count(&ours, &theirs);
            if let Some(wrong) = wrong {
                let after = arena.dump();
                let place = format!("seed {SEED:#x}, cluster {round}");
                tally
                    .wrong
                    .push(format!("{place}: {wrong}\n{pod}\nin, by now:\n{after}"));
            }
        }
        arena.clear();
    }
    tally.finish(clusters);
}

/// Returns how the scheduler's verdict differs from our prediction. `None` if they
/// agree.
fn disagreement(ours: &Prediction, theirs: &Verdict) -> Option<String> {
    let (fits, said) = (&ours.fits, ours.diagnosis.to_string());
    match theirs {
        Verdict::Bound(node) if fits.contains(node) => None,
        Verdict::Bound(node) => Some(format!("bound to {node}: {said}")),
        Verdict::Gated if is_gated(ours) => None,
        Verdict::Gated => Some(format!("gated: {said}")),
        Verdict::Unschedulable(message) if !fits.is_empty() => {
            Some(format!("fits on {fits:?}: {message}"))
        }
        // The text after the reasons is about preemption.
        Verdict::Unschedulable(message) => {
            let rest = message.strip_prefix(&said);
            let same = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
            (!same).then(|| format!("{message:?}, not {said:?}"))
        }
    }
}

/// Changes a pod for the one bug of 1.36 that we don't reproduce (fixed in 1.37): a
/// pending pod's term whose namespace selector matches an empty label set applies to
/// every namespace.
fn as_the_scheduler_reads(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for kind in ["podAffinity", "podAntiAffinity"] {
        let path = format!("/spec/affinity/{kind}/requiredDuringSchedulingIgnoredDuringExecution");
        let terms = pod.pointer_mut(&path).and_then(Value::as_array_mut);
        for term in terms.into_iter().flatten() {
            let of_none =
                |it: &Value| matches!(it["operator"].as_str(), Some("NotIn" | "DoesNotExist"));
            let expressions = term["namespaceSelector"]["matchExpressions"].as_array();
            if expressions.is_some_and(|all| all.iter().all(of_none)) {
                term["namespaceSelector"] = json!({});
            }
        }
    }
    pod
}

fn is_gated(ours: &Prediction) -> bool {
    let mut misfits = ours.diagnosis.misfits.iter();
    misfits.all(|(misfit, _)| plugin(misfit) == Some(Plugin::SchedulingGates))
}

fn plugin(misfit: &Misfit) -> Option<Plugin> {
    match misfit {
        Misfit::Rejected { plugin, .. } => Some(*plugin),
        Misfit::Unjudged(_) => None,
    }
}

/// Sums over all clusters.
#[derive(Default)]
struct Tally {
    bound: usize,
    unbound: usize,
    /// Pods that were not bound, by the filters that rejected them.
    plugins: BTreeMap<Plugin, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, ours: &Prediction, theirs: &Verdict) {
        if let Verdict::Bound(_) = theirs {
            self.bound += 1;
            return;
        }
        self.unbound += 1;
        let plugins = ours
            .diagnosis
            .misfits
            .iter()
            .filter_map(|(misfit, _)| plugin(misfit));
        for plugin in plugins.collect::<BTreeSet<_>>() {
            *self.plugins.entry(plugin).or_default() += 1;
        }
    }

    fn finish(&self, clusters: usize) {
        println!(
            "{} bound, {} not: {:?}",
            self.bound, self.unbound, self.plugins
        );
        let shown = self.wrong.iter().take(3).cloned().collect::<Vec<_>>();
        let count = self.wrong.len();
        assert!(
            shown.is_empty(),
            "{count} disagreements:\n{}",
            shown.join("\n\n")
        );
        let few = self.bound.min(self.unbound) < clusters;
        assert!(!few, "{} bound, {} not: too few", self.bound, self.unbound);
        for plugin in PLUGINS {
            assert!(self.plugins.contains_key(&plugin), "{plugin} said nothing");
        }
    }
}
