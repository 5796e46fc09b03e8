//! Replacements from pass to pass: since when each has been proposed, and those for which
//! nodes were ordered.
//!
//! ```text
//!  Proposed ──▶ Marking ──▶ Waiting ─────────▶ Leaving ──▶ done
//!  the same     the nodes    ordered, until     the nodes leave as
//!  in every     that leave   the new nodes      others do
//!  pass         are marked   are ready
//!                  └────────────┴──────────────────┘
//!                               ▼
//!                            dropped: the nodes stay, and what came stays as well
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_decision::time::Timestamp;

/// A replacement's identity: the same nodes leave, and the same come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplacementKey {
    /// Names of the nodes that leave, sorted.
    pub leaving: Vec<Arc<str>>,
    /// Name of the group whose nodes come.
    pub group: Arc<str>,
    /// Number of nodes that come.
    pub count: u32,
}

/// A replacement for which nodes were ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplacementUnderWay {
    /// Names of the nodes that leave and are still there, sorted.
    pub(crate) leaving: Vec<Arc<str>>,
    /// Those of them whose removal has begun.
    pub(crate) begun: Vec<Arc<str>>,
    /// Names of the groups of the nodes that leave.
    pub(crate) from: Vec<Arc<str>>,
    /// Name of the group whose nodes come.
    pub(crate) group: Arc<str>,
    /// Number of nodes that come.
    pub(crate) count: u32,
    /// Target of the group with these nodes.
    pub(crate) target: u32,
    /// When they were ordered.
    pub(crate) ordered: Timestamp,
    /// Whether they are ready.
    pub(crate) has_come: bool,
    /// Since when they have had no room for the pods of the nodes that leave.
    pub(crate) unfit_since: Option<Timestamp>,
}

/// A clock of the cluster may be so far behind ours.
const CLOCK_SKEW_MS: i64 = 10_000;

impl ReplacementUnderWay {
    /// Whether a node of the group has come for it: it was created after the order.
    pub(crate) fn has_brought(&self, group: &str, created: Timestamp) -> bool {
        // Kubernetes cuts times off to seconds.
        *self.group == *group && created.plus(CLOCK_SKEW_MS) >= self.ordered
    }
}

/// Replacements that are proposed or under way.
#[derive(Clone, Debug, Default)]
pub struct Replacements {
    /// Since when each has been proposed in every pass.
    proposed: BTreeMap<ReplacementKey, Timestamp>,
    pub(crate) under_way: Vec<ReplacementUnderWay>,
    /// Nodes whose mark has to be removed, as they are not replaced after all.
    pub(crate) unmarking: BTreeSet<Arc<str>>,
}

impl Replacements {
    /// Replaces the proposed ones. Those that were proposed before keep their time.
    pub(in crate::scale_down) fn propose(
        &mut self,
        now: Timestamp,
        keys: impl Iterator<Item = ReplacementKey>,
    ) {
        let before = std::mem::take(&mut self.proposed);
        for key in keys {
            let since = before.get(&key).copied().unwrap_or(now);
            self.proposed.insert(key, since);
        }
    }

    /// Since when a replacement has been proposed in every pass.
    #[must_use]
    pub fn since(&self, key: &ReplacementKey) -> Option<Timestamp> {
        self.proposed.get(key).copied()
    }

    /// The replacement under way in which a node leaves.
    pub(crate) fn of_leaving(&self, node: &str) -> Option<&ReplacementUnderWay> {
        let mut all = self.under_way.iter();
        all.find(|one| one.leaving.iter().any(|name| **name == *node))
    }

    /// Whether a node of a group has come for a replacement that is under way.
    pub(crate) fn has_brought(&self, group: &str, created: Timestamp) -> bool {
        let mut all = self.under_way.iter();
        all.any(|one| one.has_brought(group, created))
    }

    /// Whether nodes of a group leave or come in a replacement that is under way.
    pub(crate) fn concerns(&self, group: &str) -> bool {
        let mut all = self.under_way.iter();
        all.any(|one| {
            let mut from = one.from.iter();
            *one.group == *group || from.any(|from| **from == *group)
        })
    }

    /// Since when a replacement in which a node leaves has been proposed in every pass.
    pub(crate) fn proposed_since(&self, node: &str) -> Option<Timestamp> {
        let mut proposed = self.proposed.iter();
        let leaves = |key: &ReplacementKey| key.leaving.iter().any(|leaving| **leaving == *node);
        let (_, since) = proposed.find(|(key, _)| leaves(key))?;
        Some(*since)
    }
}
