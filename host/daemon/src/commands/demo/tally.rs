//! Counts of what each version of a policy did.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::policy::PolicyVersion;
use flyball_nodes::record::{NodeDecisionRecord, OrderOutcome, Round};
use flyball_replicas::record::{DecisionRecord, Outcome};

/// Counts of all versions, each in the order of their first decisions.
#[derive(Clone, Default)]
pub struct Tally {
    replicas: Vec<ReplicaTally>,
    expanders: Vec<ExpanderTally>,
}

/// Counts of a policy that decides on replicas.
#[derive(Clone)]
pub struct ReplicaTally {
    /// The version.
    pub version: Arc<PolicyVersion>,
    /// Number of decisions.
    pub decisions: u64,
    /// Number of decisions that added pods.
    pub additions: u32,
    /// Sum of the cpu utilization before these.
    utilization: f64,
}

/// Counts of an expander.
#[derive(Clone)]
pub struct ExpanderTally {
    /// The version.
    pub version: Arc<PolicyVersion>,
    /// Number of choices from which nodes were ordered.
    pub orders: u32,
    /// Number of ordered nodes, by node group.
    pub nodes: BTreeMap<Arc<str>, u32>,
}

impl Tally {
    /// Counts a decision on replicas, made at this cpu utilization.
    pub fn count_replicas(&mut self, record: &DecisionRecord, utilization: f64) {
        let adds = record.outcome == Outcome::Scaled && record.verdict.to > record.verdict.from;
        for version in record
            .policies
            .iter()
            .filter_map(|part| part.version.as_ref())
        {
            let tally = entry(
                &mut self.replicas,
                |tally| tally.version == *version,
                || ReplicaTally {
                    version: Arc::clone(version),
                    decisions: 0,
                    additions: 0,
                    utilization: 0.0,
                },
            );
            tally.decisions += 1;
            if adds {
                tally.additions += 1;
                tally.utilization += utilization;
            }
        }
    }

    /// Counts the orders of a decision about nodes.
    pub fn count_nodes(&mut self, record: &NodeDecisionRecord) {
        for round in &record.rounds {
            let Some(version) = chosen_by(round) else {
                continue;
            };
            let ordered = ordered(record, round);
            let tally = entry(
                &mut self.expanders,
                |tally| tally.version == *version,
                || ExpanderTally {
                    version: Arc::clone(version),
                    orders: 0,
                    nodes: BTreeMap::new(),
                },
            );
            tally.orders += u32::from(!ordered.is_empty());
            for (group, nodes) in ordered {
                *tally.nodes.entry(group).or_default() += nodes;
            }
        }
    }

    /// Returns the counts of the policy in use under a name, before and after the version
    /// with this digest took over.
    pub fn replicas(&self, name: &str, digest: &str) -> [Option<&ReplicaTally>; 2] {
        split(&self.replicas, |tally| &tally.version, name, digest)
    }

    /// Returns the counts of the expander in use under a name, before and after the
    /// version with this digest took over.
    pub fn expanders(&self, name: &str, digest: &str) -> [Option<&ExpanderTally>; 2] {
        split(&self.expanders, |tally| &tally.version, name, digest)
    }
}

impl ReplicaTally {
    /// Returns the mean cpu utilization at which pods were added. `None` if none were.
    pub fn mean_utilization(&self) -> Option<f64> {
        (self.additions > 0).then(|| self.utilization / f64::from(self.additions))
    }
}

/// Returns the version of the expander that made the choice of a round: the last that was
/// asked and answered.
pub fn chosen_by(round: &Round) -> Option<&Arc<PolicyVersion>> {
    let mut parts = round.expanders.iter().rev();
    let part = parts.find(|part| part.answer.is_ok())?;
    part.version.as_ref()
}

/// Returns the nodes that the cloud accepted to create for a round, by node group.
pub fn ordered(record: &NodeDecisionRecord, round: &Round) -> Vec<(Arc<str>, u32)> {
    let accepted = |group: &Arc<str>| {
        let mut orders = record.verdict.orders.iter().zip(&record.outcomes);
        orders.any(|(order, outcome)| order.group == *group && *outcome == OrderOutcome::Ordered)
    };
    let orders = round.orders.iter().filter(|order| accepted(&order.group));
    orders
        .map(|order| {
            (
                Arc::clone(&order.group),
                order.to.saturating_sub(order.from),
            )
        })
        .collect()
}

/// Returns the entry that matches, or adds one.
fn entry<T>(entries: &mut Vec<T>, matches: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let place = entries.iter().position(matches).unwrap_or_else(|| {
        entries.push(new());
        entries.len() - 1
    });
    &mut entries[place]
}

fn split<'a, T>(
    entries: &'a [T],
    version: impl Fn(&T) -> &Arc<PolicyVersion>,
    name: &str,
    digest: &str,
) -> [Option<&'a T>; 2] {
    let find = |new: bool| {
        let mut entries = entries.iter();
        entries.find(|entry| {
            let version = version(entry);
            *version.name == *name && (*version.digest == *digest) == new
        })
    };
    [find(false), find(true)]
}
