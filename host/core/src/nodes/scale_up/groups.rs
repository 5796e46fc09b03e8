//! The groups that may grow, and why others may not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::Scene;
use crate::nodes::balance::GroupSize;
use crate::nodes::census::GroupCensus;
use crate::nodes::cloud::NodeGroup;
use crate::nodes::demand::Coming;
use crate::nodes::limits::ClusterLimits;
use crate::nodes::record::SkippedGroup;
use crate::nodes::similar::{ignored_labels, similar};
use crate::nodes::state::ClusterState;
use crate::nodes::templates::{GroupTemplate, OwnedShape, template_of};

/// A group, its template and what was ordered of it so far.
pub(super) struct Candidate<'a> {
    pub(super) group: Arc<NodeGroup>,
    census: &'a GroupCensus,
    pub(super) template: Option<GroupTemplate>,
    /// Target, with what this plan adds.
    pub(super) target: u32,
    /// Why it is no option.
    pub(super) skipped: Option<SkippedGroup>,
    /// Rows of the groups that new nodes may be split over.
    similar: Vec<usize>,
}

impl Candidate<'_> {
    pub(super) fn size(&self) -> GroupSize {
        GroupSize {
            current: self.target,
            max: self.group.max_size,
        }
    }

    fn room(&self) -> u32 {
        self.group.max_size.saturating_sub(self.target)
    }

    /// The template, if the group may grow.
    pub(super) fn open(&self) -> Option<&GroupTemplate> {
        self.template.as_ref().filter(|_| self.skipped.is_none())
    }

    pub(super) fn skip(&mut self, code: &str, reason: &str, message: String) {
        self.skipped = Some(SkippedGroup {
            group: Arc::clone(&self.group.name),
            code: code.into(),
            reason: reason.to_owned(),
            message,
        });
    }
}

/// All groups, ordered by name.
pub(super) struct Candidates<'a>(pub(super) Vec<Candidate<'a>>);

impl<'a> Candidates<'a> {
    /// Finds each group's template and whether it may grow. Counts the nodes on
    /// their way into the limits: those that have joined are in them.
    pub(super) fn new(
        scene: &Scene<'a>,
        state: &mut ClusterState,
        limits: &mut ClusterLimits,
    ) -> Self {
        let groups = &scene.census.groups;
        let mut candidates = Vec::with_capacity(groups.len());
        for census in groups {
            let template = template_of(state, census, scene.options);
            let size = template.as_ref().map(GroupTemplate::size);
            limits.add(size.unwrap_or_default(), census.not_joined());
            candidates.push(Candidate {
                group: Arc::clone(&census.group),
                census,
                template,
                target: census.group.target_size,
                skipped: None,
                similar: Vec::new(),
            });
        }
        let mut candidates = Self(candidates);
        candidates.skip_closed(scene);
        candidates.limit(limits);
        if scene.options.balance_similar_node_groups {
            candidates.find_similar(scene);
        }
        candidates
    }

    fn skip_closed(&mut self, scene: &Scene<'_>) {
        for candidate in &mut self.0 {
            let group = Arc::clone(&candidate.group);
            let name = &group.name;
            if group.min_size > group.max_size {
                let (min, max) = (group.min_size, group.max_size);
                let message = format!("{name}: its smallest size {min} is above its largest {max}");
                candidate.skip("InvalidBounds", "not ready for scale-up", message);
            } else if let Some(backoff) = scene.backoffs.of(scene.now, name) {
                let seconds = backoff.until.since(scene.now) / 1000;
                let why = &backoff.message;
                let message = format!("{name}: left alone for another {seconds} s: {why}");
                candidate.skip("Backoff", "in backoff after failed scale-up", message);
            } else if candidate.room() == 0 {
                let message = format!("{name}: at its largest size {}", group.max_size);
                candidate.skip("MaxSize", "max node group size reached", message);
            } else if candidate.template.is_none() {
                let mut message = format!(
                    "{name}: nobody knows what a node of it is like: it has no node, \
                     and the provider gives no template"
                );
                if candidate.census.upcoming > 0 {
                    let coming = candidate.census.upcoming;
                    let _ = write!(message, "; {coming} that are on their way help no pod yet");
                }
                candidate.skip("NoTemplate", "not ready for scale-up", message);
            } else if group.target_size == 0 && !scene.options.scale_up_from_zero {
                let message = format!("{name}: --scale-up-from-zero is off");
                candidate.skip("FromZero", "not ready for scale-up", message);
            }
        }
    }

    /// Skips what the limits of the cluster leave no room for.
    pub(super) fn limit(&mut self, limits: &ClusterLimits) {
        for candidate in &mut self.0 {
            let Some(template) = candidate.open() else {
                continue;
            };
            if let (0, Some(limit)) = limits.allowed(template.size(), 1) {
                let name = &candidate.group.name;
                let message = format!("{name}: {} ({})", limit.reason(), limit.flag());
                candidate.skip(limit.code(), limit.reason(), message);
            }
        }
    }

    fn find_similar(&mut self, scene: &Scene<'_>) {
        let ignored = ignored_labels(&scene.options.balancing_ignored_labels);
        // Only groups with the same labels and capacity (memory apart) can be alike.
        let mut buckets: BTreeMap<Vec<String>, Vec<(usize, OwnedShape)>> = BTreeMap::new();
        for (row, candidate) in self.0.iter().enumerate() {
            if let Some(template) = candidate.open() {
                let labels = template.template.node.labels.iter();
                let labels = labels.filter(|(key, _)| !ignored.contains(*key));
                let mut key: Vec<String> = labels.map(|(k, v)| format!("{k}={v}")).collect();
                key.push(template.capacity.cpu.to_string());
                let shape = OwnedShape::new(template);
                buckets.entry(key).or_default().push((row, shape));
            }
        }
        for bucket in buckets.values() {
            for (row, shape) in bucket {
                let others = bucket.iter().filter(|(other, _)| other != row);
                let alike = others.filter(|(_, other)| {
                    let ratios = scene.options.difference_ratios;
                    similar(shape.borrowed(), other.borrowed(), &ignored, ratios)
                });
                self.0[*row].similar = alike.map(|(other, _)| *other).collect();
            }
        }
    }

    /// Rows of a group and of the open groups similar to it, itself first.
    pub(super) fn family(&self, row: usize) -> Vec<usize> {
        let similar = self.0[row].similar.iter().copied();
        let similar = similar.filter(|&row| self.0[row].open().is_some());
        std::iter::once(row).chain(similar).collect()
    }

    /// Nodes that a group and those similar to it have room for.
    pub(super) fn room(&self, family: &[usize]) -> u32 {
        let rooms = family.iter().map(|&row| self.0[row].room());
        rooms.fold(0, u32::saturating_add)
    }

    /// The nodes on their way, but for those that nobody knows.
    pub(super) fn coming(&self) -> Vec<Coming<'_>> {
        let candidates = self.0.iter();
        candidates
            .filter_map(|candidate| {
                Some(Coming {
                    template: &candidate.template.as_ref()?.template,
                    count: candidate.census.upcoming,
                    starting: &candidate.census.starting,
                })
            })
            .collect()
    }

    pub(super) fn skipped(&self) -> Vec<SkippedGroup> {
        let skipped = self.0.iter();
        skipped
            .filter_map(|candidate| candidate.skipped.clone())
            .collect()
    }
}
