//! Reasons why a pod does not fit, counted over nodes.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ClassId, Cluster, NodeId};
use crate::{Misfit, Stage};

/// Results of the filters for a pod and a set of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Number of nodes that were checked.
    pub nodes: usize,
    /// Number of nodes that the pod fits on.
    pub fitting: usize,
    /// Number of nodes for each reason why the pod doesn't fit.
    pub misfits: Vec<(Misfit, usize)>,
}

impl Cluster {
    /// Checks a pod against each of these nodes.
    pub fn diagnose(&self, class: ClassId, nodes: impl IntoIterator<Item = NodeId>) -> Diagnosis {
        let mut diagnosis = Diagnosis::default();
        let mut misfits: BTreeMap<Misfit, usize> = BTreeMap::new();
        for node in nodes {
            diagnosis.nodes += 1;
            match self.check(class, node) {
                Ok(()) => diagnosis.fitting += 1,
                Err(misfit) => *misfits.entry(misfit).or_default() += 1,
            }
        }
        diagnosis.misfits = misfits.into_iter().collect();
        diagnosis
    }
}

impl Diagnosis {
    /// Returns the misfit of a PreFilter that rejected all nodes, if there is one.
    fn said_of_all(&self) -> Option<&Misfit> {
        match self.misfits.as_slice() {
            [(misfit @ Misfit::Rejected { stage, .. }, count)]
                if *stage == Stage::PreFilter && *count == self.nodes && !misfit.is_of_names() =>
            {
                Some(misfit)
            }
            _ => None,
        }
    }
}

/// Prints the message of the scheduler's event FailedScheduling.
impl fmt::Display for Diagnosis {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{} nodes are available", self.fitting, self.nodes)?;
        if let Some(misfit) = self.said_of_all() {
            return write!(to, ": {}.", misfit.reasons().join(", "));
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (misfit, count) in &self.misfits {
            for reason in misfit.reasons() {
                *counts.entry(reason).or_default() += count;
            }
        }
        let mut said: Vec<String> = counts
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        said.sort();
        if said.is_empty() {
            return Ok(());
        }
        write!(to, ": {}.", said.join(", "))
    }
}
