//! Whole runs with nodes: the scenarios of the examples, through both loops.

use std::path::Path;
use std::sync::{Arc, Mutex};

use flyball_decision::recorder::Recorder;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::DecisionRecord;
use flyball_report::page;
use flyball_simulation::{GroupHistory, NodesRun, Options, Run, Scenario, simulate};

use crate::support::{Lines, engine};

/// Keeps every record about nodes.
#[derive(Default)]
struct Records(Mutex<Vec<Arc<NodeDecisionRecord>>>);

impl Recorder<NodeDecisionRecord> for Records {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        self.0.lock().unwrap().push(Arc::clone(record));
    }
}

impl Recorder<DecisionRecord> for Records {
    fn record(&self, _: &Arc<DecisionRecord>) {}
}

/// A run of an example and its records.
pub struct Played {
    pub run: Run,
    pub records: Vec<Arc<NodeDecisionRecord>>,
    lines: String,
}

impl Played {
    pub fn example(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        Self::scenario(&Scenario::load(&folder.join(name)).unwrap())
    }

    fn scenario(scenario: &Scenario) -> Self {
        let (records, lines) = (Arc::new(Records::default()), Arc::new(Lines::default()));
        let options = Options {
            recorders: vec![Arc::clone(&lines) as _, Arc::clone(&records) as _],
            ..Options::default()
        };
        let engine = engine(&[("hpa", 50.0)]);
        let run = simulate("", scenario, engine, &options).unwrap();
        let records = records.0.lock().unwrap().clone();
        let lines = lines.text();
        Self {
            run,
            records,
            lines,
        }
    }

    pub fn nodes(&self) -> &NodesRun {
        self.run.nodes.as_ref().unwrap()
    }

    pub fn group(&self, name: &str) -> &GroupHistory {
        let mut groups = self.nodes().fleet.groups.iter();
        groups.find(|group| *group.name == *name).unwrap()
    }

    /// Returns the nodes of a group in the interval that is `seconds` after the start.
    pub fn ready(&self, group: &str, seconds: i64) -> f64 {
        self.group(group).ready[self.row(seconds)]
    }

    fn pending(&self, seconds: i64) -> f64 {
        self.nodes().fleet.pending[self.row(seconds)]
    }

    pub fn row(&self, seconds: i64) -> usize {
        let times = &self.nodes().fleet.at_ms;
        times.partition_point(|at| *at <= seconds * 1000) - 1
    }

    /// Returns the orders: seconds since the start, group, nodes.
    pub fn orders(&self) -> Vec<(i64, String, u32)> {
        let orders = self.records.iter().flat_map(|record| {
            let at = record.at.since(self.run.scenario.start) / 1000;
            let orders = record.verdict.orders.iter();
            orders.map(move |order| (at, order.group.to_string(), order.to - order.from))
        });
        orders.collect()
    }

    fn event_reasons(&self) -> Vec<&str> {
        let events = self.records.iter().flat_map(|record| &record.events);
        events.map(|event| event.event.reason.as_str()).collect()
    }
}

#[test]
fn pods_wait_for_nodes_and_get_them() {
    let played = Played::example("nodes.yaml");
    let nodes = played.group("nodes");
    assert_eq!((nodes.first, nodes.most, nodes.last), (2, 4, 4));
    // The load's second step is at 20m: pods pend, nodes boot, and pods run.
    assert_eq!(played.ready("nodes", 1190), 2.0);
    assert!(played.nodes().fleet.most_pending > 0);
    assert_eq!(played.ready("nodes", 1800), 4.0);
    assert_eq!(played.pending(1800), 0.0);
    assert_eq!(played.group("compute").most, 0, "it wastes more");
    assert!(played.event_reasons().contains(&"TriggeredScaleUp"));
    let choice = played
        .records
        .iter()
        .find_map(|record| record.rounds.first());
    let choice = choice.unwrap();
    assert_eq!(choice.input.options.len(), 2);
    assert_eq!(choice.expanders[0].name.as_ref(), "least-waste");
    // Two nodes of 0.0832 an hour exist all the time, and two others for more than half
    // of it.
    let cost = played.nodes().fleet.cost();
    assert!((0.20..0.34).contains(&cost), "{cost}");
}

#[test]
fn same_seed_same_bytes_with_nodes() {
    let [first, second] = ["nodes.yaml", "nodes.yaml"].map(Played::example);
    assert!(first.lines == second.lines && first.records == second.records);
    let page = page::html(std::slice::from_ref(&first.run));
    assert!(page == page::html(&[second.run]), "reports differ");
    assert!(page.contains("Decisions about nodes") && page.contains("&lt;b&gt;the lowest"));
    assert!(!page.contains("<b>the lowest"));
    let mut other = first.run.scenario.clone();
    other.seed += 1;
    let other = Played::scenario(&other);
    assert!(other.records != first.records && !other.orders().is_empty());
}

#[test]
fn a_spot_group_that_runs_dry_is_left_alone_for_a_while() {
    let played = Played::example("nodes/spot.yaml");
    let orders = played.orders();
    // The preferred group is asked first.
    assert_eq!(orders[0].1, "spot");
    let fallback = orders.iter().find(|order| order.1 == "on-demand").unwrap();
    assert!(fallback.0 > orders[0].0, "{orders:?}");
    assert!(fallback.0 < orders[0].0 + 60, "at once: {orders:?}");
    assert!(played.group("on-demand").most > 0);
    let incidents = played.records.iter().flat_map(|record| &record.incidents);
    let incidents: Vec<_> = incidents.map(|incident| incident.code.as_ref()).collect();
    assert!(incidents.contains(&"InstanceFailed"), "{incidents:?}");
    assert!(played.event_reasons().contains(&"FailedToScaleUpGroup"));
    // During the backoff the group is no option, and is reported as skipped.
    let mut skipped = played.records.iter().flat_map(|record| &record.skipped);
    assert!(skipped.any(|group| &*group.group == "spot" && &*group.code == "Backoff"));
    // The cloud has capacity again: the group is preferred as before.
    let (at, group, _) = orders.last().unwrap();
    assert!(*at > 75 * 60 && group == "spot", "{orders:?}");
    assert!(played.group("spot").last > 2);
    assert_eq!(played.pending(7190), 0.0);
}

#[test]
fn a_zone_that_goes_out_is_made_up_for_in_the_others() {
    let played = Played::example("nodes/zone-outage.yaml");
    // Twelve pods of half a core, four in each zone, on nodes of two cores.
    assert_eq!(played.pending(890), 0.0);
    let ready = |seconds| ["zone-a", "zone-b", "zone-c"].map(|group| played.ready(group, seconds));
    let before = ready(890);
    assert_eq!(ready(905)[1], 0.0, "all in the zone are gone");
    assert!(played.pending(905) >= 4.0);
    let during = ready(1500);
    assert!(during[0] + during[2] > before[0] + before[2], "{during:?}");
    let orders = played.orders();
    let mut after = orders.iter().filter(|order| order.0 >= 900);
    assert!(after.any(|order| order.1 != "zone-b"), "{orders:?}");
    let serving = &played.run.workloads[0].timeline;
    assert_eq!(serving.ready[played.row(1800)], 12.0, "all pods run again");
}

#[test]
fn a_deployment_that_fits_nowhere_orders_nothing_and_says_why() {
    let played = Played::example("nodes/never-fits.yaml");
    assert_eq!(played.orders(), []);
    assert_eq!(played.nodes().journal.orders, 0);
    assert_eq!(played.pending(1190), 3.0);
    let events = played.records.iter().flat_map(|record| &record.events);
    let messages: Vec<&str> = events
        .filter(|event| event.event.reason == "NotTriggerScaleUp")
        .map(|event| event.event.message.as_str())
        .collect();
    let says = |text: &str| messages.iter().any(|message| message.contains(text));
    assert!(says("Insufficient memory"), "{messages:?}");
    assert!(
        says("node(s) didn't match Pod's node affinity/selector"),
        "{messages:?}"
    );
    // Once for each pod, or a few times: not with every scan.
    assert!(messages.len() <= 6, "{} events", messages.len());
    let last = played.records.last().unwrap();
    let groups = |class: &flyball_nodes::record::Remaining| {
        let counts = class.reasons.iter().map(|refusal| refusal.count);
        counts.sum::<u32>()
    };
    assert_eq!(
        last.remaining.iter().map(groups).collect::<Vec<_>>(),
        [2, 2]
    );
    let page = page::html(std::slice::from_ref(&played.run));
    assert!(page.contains("fits nowhere") && page.contains("Insufficient memory"));
}

#[test]
fn a_thousand_pods_get_their_nodes_with_one_decision() {
    let played = Played::example("nodes/thousand-pods.yaml");
    assert_eq!(played.nodes().fleet.most_pending, 1000);
    let orders = played.orders();
    assert!(
        orders.iter().all(|order| order.0 == orders[0].0),
        "{orders:?}"
    );
    // 500 cores in all: 250 nodes of two or 32 of sixteen, the memory being enough.
    let cores: u32 = orders
        .iter()
        .map(|order| order.2 * if order.1 == "large" { 16 } else { 2 })
        .sum();
    assert!((500..=512).contains(&cores), "{orders:?}");
    assert_eq!(played.pending(180), 0.0);
    assert_eq!(
        played.run.workloads[0].timeline.ready[played.row(240)],
        1000.0
    );
}
