//! What holds after a crash, and the outcome in words.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cell::{Cell, name, pods_on};
use super::rows::{Restart, Scene};
use crate::journal::Entry;
use crate::support::Daemon;

const HARD: &str = "ToBeDeletedByClusterAutoscaler";
const SOFT: &str = "DeletionCandidateOfClusterAutoscaler";
const DRAINING: &str = "flyball.dev/scale-down";
const REPLACED_BY: &str = "flyball.dev/replaced-by";

/// A crash.
pub struct Crash {
    /// Pods and their nodes before the load changed.
    pub pods: Vec<(String, String)>,
    /// Number of entries of the journal before it.
    pub before: usize,
}

/// The writes of both daemons that matter.
struct Writes {
    entries: Vec<Entry>,
    before: usize,
}

impl Writes {
    /// Texts of the accepted writes with a text.
    fn accepted(&self, text: &str) -> Vec<&str> {
        let entries = self.entries.iter();
        let accepted = entries.filter(|entry| entry.is_accepted && entry.text.contains(text));
        accepted.map(|entry| &*entry.text).collect()
    }

    /// The same of the successor alone, accepted or not.
    fn after(&self, text: &str) -> Vec<&str> {
        let after = self.entries[self.before..].iter();
        let after = after.filter(|entry| entry.text.contains(text));
        after.map(|entry| &*entry.text).collect()
    }

    /// Whether a drain was under way at the crash, and its instance not terminated.
    fn was_draining(&self) -> bool {
        let has_written = |text: &str| {
            let mut before = self.entries[..self.before].iter();
            before.any(|entry| entry.text.contains(text))
        };
        let (begins, ends) = (format!("{DRAINING}\":\""), format!("{DRAINING}\":null"));
        has_written(&begins) && !has_written(&ends) && !has_written("Action=TerminateInstance")
    }
}

/// Checks what holds for all crashes and for those of the row. Returns the outcome.
pub fn outcome(cell: &Cell<'_>, crash: &Crash, successor: &Daemon) -> String {
    let writes = Writes {
        entries: cell.stage.journal.entries(),
        before: crash.before,
    };
    let drained = drained(&writes);
    let mut said = Vec::new();
    if cell.row.scene == Scene::LongTimer {
        said.push(timer(cell, &writes, successor, &drained));
    }
    said.extend(evictions(cell, crash, &writes, &drained));
    said.extend(sizes(cell, &writes));
    if writes.was_draining() {
        decided_in_two_passes(successor, &drained);
    }
    nothing_is_left_on_nodes(cell, &drained);
    if cell.row.scene.gives_back() {
        let by = match writes.after(DRAINING).is_empty() {
            true => "were off",
            false => "taken off",
        };
        said.push(match cell.row.scene {
            Scene::Cordoned => format!("taint {by}, cordon left"),
            _ => format!("taint and cordon {by}"),
        });
    }
    if let Some(fault) = cell.fault {
        let left = cell.stage.journal.end_fault();
        assert!(left < fault.left, "no call has failed");
        let taken_back = successor.node_records().iter().any(|record| {
            let steps = record["scaleDown"]["steps"].as_array();
            let mut steps = steps.into_iter().flatten();
            steps.any(|step| step["step"] == "TakenBack")
        });
        said.extend(taken_back.then(|| "after the drain was taken back".to_owned()));
    }
    assert!(!cell.is_budget_broken(), "the budget was broken");
    let smallest = cell.stage.world.smallest_size(&cell.group);
    let least = u32::from(cell.row.scene != Scene::Replacement);
    assert!(smallest >= least, "the group had {smallest} nodes");
    said.join(", ")
}

/// A drain that the successor found was continued or taken back in the record of the pass
/// that found it, or in the next one: records are made of passes that do something.
fn decided_in_two_passes(successor: &Daemon, node: &str) {
    let records = successor.node_records();
    let steps = |record: &Value| -> Vec<String> {
        let steps = record["scaleDown"]["steps"].as_array();
        let steps = steps.into_iter().flatten();
        let of_node = steps.filter(|step| step["node"] == node);
        of_node.map(|step| step["step"].to_string()).collect()
    };
    let mut records = records.iter().map(steps);
    let first = records.find(|steps| steps.iter().any(|step| step.contains("Resumed")));
    assert!(first.is_some(), "the drain of {node} was not found");
    let first = first.unwrap_or_default();
    let next = records.next().unwrap_or_default();
    let decides = |step: &String| {
        let steps = ["Evict", "Terminating", "TakenBack", "Gone"];
        steps.iter().any(|one| step.contains(one))
    };
    let is_decided = first.iter().chain(&next).any(decides);
    assert!(is_decided, "not in two passes: {first:?}, {next:?}");
}

/// The node that the first daemon tainted; empty if there is none.
fn drained(writes: &Writes) -> String {
    let taints = |text: &&str| text.starts_with("PATCH /api/v1/nodes/");
    let hard = writes.accepted(HARD).into_iter().find(taints);
    let tainted = hard.or_else(|| writes.accepted(SOFT).into_iter().find(taints));
    let path = tainted.and_then(|text| text.strip_prefix("PATCH /api/v1/nodes/"));
    let name = path.and_then(|path| path.split(['?', ' ']).next());
    name.unwrap_or_default().to_owned()
}

/// Whether the timer went on from the value of the taint.
fn timer(cell: &Cell<'_>, writes: &Writes, successor: &Daemon, node: &str) -> String {
    let taint = writes.accepted(SOFT)[0];
    let (_, rest) = taint.split_once(SOFT).unwrap();
    let digits = rest.chars().skip_while(|c| !c.is_ascii_digit());
    let value: String = digits.take_while(char::is_ascii_digit).collect();
    let value: i64 = value.parse().unwrap();
    let records = successor.node_records();
    let unneeded = records.iter().flat_map(|record| {
        let unneeded = record["scaleDown"]["unneeded"].as_array();
        unneeded.into_iter().flatten()
    });
    let mut of_node = unneeded.filter(|unneeded| unneeded["node"] == node);
    let since = of_node.next().map(|unneeded| &unneeded["since"]);
    let since = since.and_then(Value::as_i64).unwrap();
    let is_kept = since == value * 1000;
    assert_eq!(
        is_kept,
        cell.restart != Restart::Later,
        "{since}, taint {value}"
    );
    match is_kept {
        true => "timer goes on".to_owned(),
        false => "timer begins anew".to_owned(),
    }
}

/// Each pod of the node was evicted once at most, and no other pod.
fn evictions(cell: &Cell<'_>, crash: &Crash, writes: &Writes, node: &str) -> Option<String> {
    let pod = |text: &str| {
        let (_, rest) = text.split_once("/pods/")?;
        Some(rest.split_once("/eviction")?.0.to_owned())
    };
    let evicted: Vec<String> = writes
        .accepted("/eviction")
        .into_iter()
        .filter_map(pod)
        .collect();
    let once: BTreeSet<&str> = evicted.iter().map(|pod| &**pod).collect();
    assert_eq!(once.len(), evicted.len(), "evicted twice: {evicted:?}");
    let known = pods_on(&crash.pods, node);
    assert!(once.is_subset(&known), "{once:?} of {known:?}");
    let after = writes.after("/eviction").into_iter().filter_map(pod);
    let after: BTreeSet<String> = after.collect();
    let again: Vec<&String> = evicted[..evicted.len() - accepted_after(writes)]
        .iter()
        .filter(|pod| after.contains(*pod))
        .collect();
    assert!(again.is_empty(), "asked for again: {again:?}");
    let is_drain = matches!(cell.row.scene, Scene::Drain | Scene::LongTimer);
    (is_drain && cell.fault.is_none()).then(|| match accepted_after(writes) {
        0 => "nothing evicted after it".to_owned(),
        count => format!("{count} of {} pods evicted after it", evicted.len()),
    })
}

fn accepted_after(writes: &Writes) -> usize {
    let after = writes.entries[writes.before..].iter();
    let evictions = after.filter(|entry| entry.is_accepted && entry.text.contains("/eviction"));
    evictions.count()
}

/// The cloud was asked once at most.
fn sizes(cell: &Cell<'_>, writes: &Writes) -> Option<String> {
    let terminated = writes.accepted("Action=TerminateInstanceInAutoScalingGroup");
    let ordered = writes.accepted("Action=SetDesiredCapacity");
    let desired = cell.stage.world.desired(&cell.group);
    let counts = (terminated.len(), ordered.len(), desired);
    match cell.row.scene {
        Scene::ScaleUp => {
            // The cloud's client tries again if there is no answer in time.
            let counts = match ordered
                .iter()
                .all(|order| order.contains("DesiredCapacity=2"))
            {
                true if cell.fault.is_some() => (counts.0, counts.1.min(1), counts.2),
                _ => counts,
            };
            assert_eq!(counts, (0, 1, 2));
            Some("ordered once".to_owned())
        }
        Scene::Replacement => {
            let small = cell.stage.world.desired(&cell.small());
            assert_eq!((counts, small), ((1, 1, 0), 1));
            Some("ordered once, terminated once".to_owned())
        }
        scene if scene.gives_back() => {
            assert_eq!(counts, (0, 0, 2));
            None
        }
        scene => {
            assert_eq!(counts, (1, 0, 1));
            let waits = match (scene, cell.reports_the_node(), cell.restart) {
                (Scene::NodeStays, true, Restart::Later) => "; told at once",
                (Scene::NodeStays, true, _) => "; told after 5 min",
                (Scene::NodeStays, ..) => "; nothing but waiting",
                _ => "",
            };
            if scene == Scene::NodeStays {
                let written = writes.after("PATCH /api/v1/nodes/");
                assert!(written.is_empty(), "{written:?}");
            }
            Some(format!("terminated once, target lowered once{waits}"))
        }
    }
}

/// Whether a node has the taint of nodes that leave.
pub fn has_hard_taint(node: &Value) -> bool {
    has_taint(node, HARD)
}

fn has_taint(node: &Value, key: &str) -> bool {
    let taints = node["spec"]["taints"].as_array();
    let mut taints = taints.into_iter().flatten();
    taints.any(|taint| taint["key"] == key)
}

/// No taint and no cordon of ours is on a node that stays; another's cordon is.
fn nothing_is_left_on_nodes(cell: &Cell<'_>, drained: &str) {
    cell.stage.wait_for("nodes without our taints", || {
        let nodes = cell.stage.nodes();
        let is_clean = |node: &Value| {
            let is_cordoned = node["spec"]["unschedulable"] == true;
            let is_cordon_left = cell.row.scene == Scene::Cordoned && name(node) == drained;
            !has_taint(node, HARD)
                && !has_taint(node, SOFT)
                && node["metadata"]["annotations"][DRAINING].is_null()
                && node["metadata"]["annotations"][REPLACED_BY].is_null()
                && is_cordoned == is_cordon_left
        };
        nodes.iter().all(is_clean)
    });
}
