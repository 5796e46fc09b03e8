//! Where each node stands, by the records about removals: why it stays and since when,
//! since when it has not been needed, or how far its removal is.
//!
//! A record has only what is new in its pass. [`NodeStandings`] puts the records together.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::reasons::Stay;
use crate::record::{DrainStepRecord, NodeDecisionRecord, ScaleDownRecord, UnneededRecord};
use flyball_decision::time::Timestamp;

/// Maximum number of steps of a removal that are kept: the latest.
const MAX_STEPS: usize = 64;

/// Maximum size of the messages of these steps together.
const MAX_STEPS_BYTES: usize = 16 << 10;

/// Maximum number of nodes that are gone and still known.
const MAX_GONE: usize = 1_000;

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeStanding {
    /// The node.
    pub node: Arc<str>,
    /// Time of the last record that names it.
    pub at: Timestamp,
    /// Sequence number of that record.
    pub sequence: u64,
    /// What the last plan found.
    pub finding: Finding,
    /// Steps of its last removal, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<DatedStep>,
}

/// What a plan found about a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
    /// It is needed, or may not go.
    Needed {
        /// Since when for this reason.
        since: Timestamp,
        /// Why.
        stay: Stay,
    },
    /// It is not needed.
    Unneeded(UnneededRecord),
    /// It is no longer there.
    Gone,
    /// No plan has found anything about it yet: its removal was taken over from another
    /// process.
    NotPlanned,
}

/// A step of a removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatedStep {
    /// When it was done.
    pub at: Timestamp,
    /// What was done, as in [`DrainStepRecord::step`].
    pub step: Arc<str>,
    /// Message for people.
    pub message: String,
}

/// Where all nodes stand.
#[derive(Clone, Debug, Default)]
pub struct NodeStandings {
    nodes: BTreeMap<Arc<str>, NodeStanding>,
    /// Nodes that are gone, the first one first.
    gone: VecDeque<Arc<str>>,
}

impl NodeStandings {
    /// Returns where a node stands. `None` if no record names it.
    #[must_use]
    pub fn get(&self, node: &str) -> Option<&NodeStanding> {
        self.nodes.get(node)
    }

    /// Returns where all nodes stand, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &NodeStanding> {
        self.nodes.values()
    }

    /// Adds what a record says. Records have to be added in their order.
    pub fn add(&mut self, record: &NodeDecisionRecord) {
        if let Some(removals) = &record.scale_down {
            self.add_removals(record, removals);
        }
    }

    fn add_removals(&mut self, record: &NodeDecisionRecord, removals: &ScaleDownRecord) {
        for needed in &removals.needed {
            let standing = self.standing(record, &needed.node);
            let since = match &standing.finding {
                Finding::Needed { since, stay } if stay.is_same(&needed.stay) => *since,
                _ => record.at,
            };
            standing.finding = Finding::Needed {
                since,
                stay: needed.stay.clone(),
            };
        }
        for unneeded in &removals.unneeded {
            self.standing(record, &unneeded.node).finding = Finding::Unneeded(unneeded.clone());
        }
        for step in &removals.steps {
            self.add_step(record, step);
        }
        for node in &removals.gone {
            self.add_gone(record, node);
        }
    }

    fn add_step(&mut self, record: &NodeDecisionRecord, step: &DrainStepRecord) {
        let standing = self.standing(record, &step.node);
        let begins = match &*step.step {
            // The removal of a node whose replacement is ready goes on with its steps.
            "Started" => {
                let last = standing.steps.last();
                last.is_none_or(|last| &*last.step != "ReplacementReady")
            }
            "Resumed" | "ReplacementOrdered" => true,
            _ => false,
        };
        if begins {
            standing.steps.clear();
        }
        let steps = &mut standing.steps;
        steps.push(DatedStep {
            at: record.at,
            step: Arc::clone(&step.step),
            message: step.message.clone(),
        });
        let bytes = |steps: &[DatedStep]| {
            let messages = steps.iter().map(|step| step.message.len());
            messages.sum::<usize>()
        };
        while steps.len() > MAX_STEPS || bytes(steps) > MAX_STEPS_BYTES {
            steps.remove(0);
        }
        if &*step.step == "Gone" {
            self.add_gone(record, &step.node);
        }
    }

    fn add_gone(&mut self, record: &NodeDecisionRecord, node: &Arc<str>) {
        let standing = self.standing(record, node);
        if standing.finding == Finding::Gone {
            return;
        }
        standing.finding = Finding::Gone;
        self.gone.push_back(Arc::clone(node));
        if self.gone.len() > MAX_GONE
            && let Some(first) = self.gone.pop_front()
            // Another node may have come under its name.
            && self.get(&first).is_some_and(|known| known.finding == Finding::Gone)
        {
            self.nodes.remove(&first);
        }
    }

    /// Returns the node's entry, which this record names.
    fn standing(&mut self, record: &NodeDecisionRecord, node: &Arc<str>) -> &mut NodeStanding {
        let new = || NodeStanding {
            node: Arc::clone(node),
            at: record.at,
            sequence: record.sequence,
            finding: Finding::NotPlanned,
            steps: Vec::new(),
        };
        let standing = self.nodes.entry(Arc::clone(node)).or_insert_with(new);
        standing.at = record.at;
        standing.sequence = record.sequence;
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, MAX_GONE, NodeStandings};
    use crate::reasons::{MIN_SIZE, NO_PLACE, Stay};
    use crate::record::{
        DrainStepRecord, NeededRecord, NodeDecisionRecord, ScaleDownRecord, UnneededRecord,
    };
    use flyball_decision::time::Timestamp;

    fn record(at: i64, removals: ScaleDownRecord) -> NodeDecisionRecord {
        NodeDecisionRecord {
            at: Timestamp(at),
            scale_down: Some(removals),
            ..NodeDecisionRecord::default()
        }
    }

    fn needed(node: &str, stay: Stay) -> ScaleDownRecord {
        ScaleDownRecord {
            needed: vec![NeededRecord {
                node: node.into(),
                stay,
            }],
            ..ScaleDownRecord::default()
        }
    }

    fn step(node: &str, step: &str) -> ScaleDownRecord {
        ScaleDownRecord {
            steps: vec![DrainStepRecord {
                node: node.into(),
                step: step.into(),
                message: String::new(),
            }],
            ..ScaleDownRecord::default()
        }
    }

    #[test]
    fn a_reason_is_as_old_as_its_first_record_in_whatever_words() {
        let mut standings = NodeStandings::default();
        let in_words = |words: &str| Stay {
            message: words.to_owned(),
            ..Stay::of(NO_PLACE)
        };
        let since = |standings: &NodeStandings| match standings.get("a").map(|a| &a.finding) {
            Some(Finding::Needed { since, .. }) => since.0,
            other => panic!("{other:?}"),
        };
        standings.add(&record(1, needed("a", in_words("one"))));
        standings.add(&record(2, needed("b", Stay::of(MIN_SIZE))));
        standings.add(&record(3, needed("a", in_words("two"))));
        assert_eq!(since(&standings), 1);
        standings.add(&record(4, needed("a", Stay::of(MIN_SIZE))));
        assert_eq!(since(&standings), 4);
    }

    #[test]
    fn the_steps_are_those_of_the_last_removal_and_gone_nodes_are_forgotten_in_time() {
        let mut standings = NodeStandings::default();
        let unneeded = UnneededRecord {
            node: "a".into(),
            group: "g".into(),
            since: Timestamp(1),
            stay: None,
            until: None,
            pods: Vec::new(),
        };
        standings.add(&record(
            1,
            ScaleDownRecord {
                unneeded: vec![unneeded],
                ..step("a", "Started")
            },
        ));
        standings.add(&record(2, step("a", "TakenBack")));
        standings.add(&record(3, step("a", "Started")));
        standings.add(&record(4, step("a", "Gone")));
        let known = standings.get("a").map(|a| {
            let steps = a
                .steps
                .iter()
                .map(|step| (step.at.0, step.step.to_string()));
            (a.finding.clone(), steps.collect::<Vec<_>>())
        });
        let steps = vec![(3, "Started".to_owned()), (4, "Gone".to_owned())];
        assert_eq!(known, Some((Finding::Gone, steps)));
        for number in 0..MAX_GONE {
            let gone = ScaleDownRecord {
                gone: vec![format!("n-{number}").into()],
                ..ScaleDownRecord::default()
            };
            standings.add(&record(5, gone));
        }
        assert_eq!(standings.get("a"), None);
        assert_eq!(standings.iter().count(), MAX_GONE);
    }
}
