//! Candidates: the node groups, and why some of them may not grow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use flyball_placement::{ClassId, Name, Pod};

use super::PlanContext;
use super::families::{Domain, domain_of};
use crate::balance::GroupSize;
use crate::census::GroupCensus;
use crate::cloud::NodeGroup;
use crate::demand::UpcomingNodes;
use crate::limits::ClusterLimits;
use crate::record::SkippedGroup;
use crate::similar::{ignored_labels, similar};
use crate::state::ClusterState;
use crate::templates::{GroupTemplate, OwnedShape, templates_of};

/// A group, its templates and what this plan orders of it so far.
pub(super) struct Candidate<'a> {
    pub(super) group: Arc<NodeGroup>,
    census: &'a GroupCensus,
    /// Templates of a new node, one for each zone that it may be in. Empty if there is
    /// none.
    templates: Vec<GroupTemplate>,
    /// Index of the template that is assumed for a new node.
    assumed: usize,
    /// Number of upcoming nodes that may come in any zone.
    pub(super) unknown_zone: u32,
    /// Zone-dependent pods that an upcoming node may help.
    awaited: BTreeSet<ClassId>,
    /// Zone-dependent pods for which the group is backed off, because a node for them
    /// came in a zone that does not help.
    avoided: BTreeSet<ClassId>,
    /// Target, including what this plan adds.
    pub(super) target: u32,
    /// Why it may not grow. `None` if it may.
    pub(super) skipped: Option<SkippedGroup>,
    /// The topology domain of its nodes, by the keys that the pending pods use.
    pub(super) domain: Domain,
    /// Rows of the groups that new nodes may be split over.
    similar: Vec<usize>,
    /// Rows of the groups that differ from this one in the domain alone.
    siblings: Vec<usize>,
}

impl Candidate<'_> {
    pub(super) fn size(&self) -> GroupSize {
        GroupSize {
            current: self.target,
            max: self.group.max_size,
        }
    }

    /// Number of nodes by which the group may still grow.
    pub(super) fn room(&self) -> u32 {
        self.group.max_size.saturating_sub(self.target)
    }

    /// The template that is assumed for a new node. `None` if there is none.
    pub(super) fn template(&self) -> Option<&GroupTemplate> {
        self.templates.get(self.assumed)
    }

    /// Templates of a new node, one for each zone that it may be in.
    pub(super) fn templates(&self) -> &[GroupTemplate] {
        &self.templates
    }

    /// Assumes a template for new nodes.
    pub(super) fn assume(&mut self, template: usize) {
        self.assumed = template;
    }

    /// Whether a new node may be in one of several zones.
    pub(super) fn has_several_zones(&self) -> bool {
        self.templates.len() > 1
    }

    /// Whether the group is backed off for pods of this class, unless all zones help
    /// them.
    pub(super) fn avoids(&self, class: ClassId) -> bool {
        self.avoided.contains(&class)
    }

    /// Whether an upcoming node may help zone-dependent pods of this class.
    pub(super) fn awaits(&self, class: ClassId) -> bool {
        self.awaited.contains(&class)
    }

    /// Notes that an upcoming node may help zone-dependent pods of these classes.
    pub(super) fn await_zone(&mut self, classes: impl IntoIterator<Item = ClassId>) {
        self.awaited.extend(classes);
    }

    /// The assumed template. `None` if the group may not grow.
    pub(super) fn open_template(&self) -> Option<&GroupTemplate> {
        self.template().filter(|_| self.skipped.is_none())
    }

    /// The upcoming nodes whose zone is known, by template. Sets `unknown_zone` to the
    /// number of the others.
    fn upcoming_nodes(&mut self, state: &ClusterState) -> Vec<UpcomingNodes<'_>> {
        let census = self.census;
        let upcoming = |template, count, starting| UpcomingNodes {
            template,
            count,
            starting,
        };
        if let [only] = self.templates.as_slice() {
            let starting = census.starting.clone();
            return vec![upcoming(&only.template, census.upcoming, starting)];
        }
        let mut left = census.upcoming;
        let mut all = Vec::with_capacity(self.templates.len());
        let zones = self.zones_of_nodes(state);
        for template in &self.templates {
            let is_there = |name: &&Arc<str>| zones.get(*name).copied() == template.zone();
            let starting = census.starting.iter().filter(is_there).cloned();
            let starting: Vec<Arc<str>> = starting.collect();
            let launched = census.launched.iter();
            let launched = launched.filter(|zone| Some(*zone) == template.zone());
            let count = u32::try_from(starting.len() + launched.count()).unwrap_or(u32::MAX);
            let count = count.min(left);
            left -= count;
            all.push(upcoming(&template.template, count, starting));
        }
        self.unknown_zone = left;
        all
    }

    /// The zone of each joined node of the group, by name. It comes from the node's
    /// labels, or from the cloud until these are set.
    fn zones_of_nodes<'s>(&'s self, state: &'s ClusterState) -> BTreeMap<&'s Arc<str>, &'s Name> {
        let instances = self.group.instances.iter();
        let zones = instances.filter_map(|instance| {
            let node = state.node_of(&instance.provider_id)?;
            let zone = node.zone.or(instance.zone.as_ref())?;
            Some((&node.facts.node.name, zone))
        });
        zones.collect()
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

/// All groups.
pub(super) struct Candidates<'a> {
    /// Ordered by name.
    pub(super) all: Vec<Candidate<'a>>,
    /// Topology keys that pending pods use, other than the hostname.
    pub(super) keys: &'a [Name],
}

impl<'a> Candidates<'a> {
    /// Finds each group's templates and whether it may grow. Adds upcoming nodes that
    /// have not joined to the limits, which count joined ones already.
    pub(super) fn new(
        context: &PlanContext<'a>,
        state: &mut ClusterState,
        limits: &mut ClusterLimits,
        keys: &'a [Name],
    ) -> Self {
        let groups = &context.census.groups;
        let mut candidates = Vec::with_capacity(groups.len());
        for census in groups {
            let templates = templates_of(state, census, context.options);
            let size = templates.first().map(GroupTemplate::size);
            limits.add(size.unwrap_or_default(), census.not_joined());
            let zones = &context.backoffs.zones;
            let name = &census.group.name;
            let mut class = |pod: &Pod| {
                let cluster = state.cluster_mut();
                let class = cluster.class(pod);
                cluster.representative(class)
            };
            let awaited = zones.awaited(name).map(&mut class).collect();
            let avoided = zones.avoided(context.now, name).map(&mut class).collect();
            candidates.push(Candidate {
                avoided,
                awaited,
                unknown_zone: 0,
                assumed: 0,
                group: Arc::clone(&census.group),
                census,
                templates,
                target: census.group.target_size,
                skipped: None,
                domain: Domain::new(),
                similar: Vec::new(),
                siblings: Vec::new(),
            });
        }
        let mut candidates = Self {
            all: candidates,
            keys,
        };
        candidates.skip_closed(context);
        candidates.limit(limits);
        if context.options.balance_similar_node_groups {
            for (row, similar) in candidates.similar(context, &[]) {
                candidates.all[row].similar = similar;
            }
        }
        if !keys.is_empty() {
            let certain = candidates.all.iter_mut();
            for candidate in certain.filter(|candidate| !candidate.has_several_zones()) {
                candidate.domain = domain_of(candidate, keys);
            }
            for (row, alike) in candidates.similar(context, keys) {
                candidates.all[row].siblings = alike;
            }
        }
        candidates
    }

    fn skip_closed(&mut self, context: &PlanContext<'_>) {
        for candidate in &mut self.all {
            let group = Arc::clone(&candidate.group);
            let name = &group.name;
            if group.min_size > group.max_size {
                let (min, max) = (group.min_size, group.max_size);
                let message = format!("{name}: its smallest size {min} is above its largest {max}");
                candidate.skip("InvalidBounds", "not ready for scale-up", message);
            } else if let Some(backoff) = context.backoffs.of(context.now, name) {
                let seconds = backoff.until.since(context.now) / 1000;
                let why = &backoff.message;
                let message = format!("{name}: left alone for another {seconds} s: {why}");
                candidate.skip("Backoff", "in backoff after failed scale-up", message);
            } else if candidate.room() == 0 {
                let message = format!("{name}: at its largest size {}", group.max_size);
                candidate.skip("MaxSize", "max node group size reached", message);
            } else if candidate.templates.is_empty() {
                let mut message = format!(
                    "{name}: nobody knows what a node of it is like: it has no node, \
                     and the provider gives no template"
                );
                if candidate.census.upcoming > 0 {
                    let coming = candidate.census.upcoming;
                    let _ = write!(message, "; {coming} that are on their way help no pod yet");
                }
                candidate.skip("NoTemplate", "not ready for scale-up", message);
            } else if !context.census.any_ready && !context.options.scale_up_from_zero {
                let message = format!(
                    "{name}: no node of the cluster is ready, and --scale-up-from-zero is off"
                );
                candidate.skip("FromZero", "not ready for scale-up", message);
            }
        }
    }

    /// Skips groups that the limits of the cluster leave no room for.
    pub(super) fn limit(&mut self, limits: &ClusterLimits) {
        for candidate in &mut self.all {
            let Some(template) = candidate.open_template() else {
                continue;
            };
            if let (0, Some(limit)) = limits.allowed(template.size(), 1) {
                let name = &candidate.group.name;
                let message = format!("{name}: {} ({})", limit.reason(), limit.flag());
                candidate.skip(limit.code(), limit.reason(), message);
            }
        }
    }

    /// Returns for each group that may grow the rows of those similar to it, without
    /// comparing the labels in `but`.
    fn similar(&self, context: &PlanContext<'_>, but: &[Name]) -> Vec<(usize, Vec<usize>)> {
        let mut ignored = ignored_labels(&context.options.balancing_ignored_labels);
        ignored.extend(but.iter().cloned());
        // Only groups with the same labels and cpu capacity can be similar.
        let mut buckets: BTreeMap<Vec<String>, Vec<(usize, OwnedShape)>> = BTreeMap::new();
        for (row, candidate) in self.all.iter().enumerate() {
            if let Some(template) = candidate.open_template() {
                let shape = OwnedShape::new(template);
                let labels = shape.labels().iter();
                let labels = labels.filter(|(key, _)| !ignored.contains(*key));
                let mut key: Vec<String> = labels.map(|(k, v)| format!("{k}={v}")).collect();
                key.push(template.capacity.cpu.to_string());
                buckets.entry(key).or_default().push((row, shape));
            }
        }
        let mut found = Vec::new();
        for bucket in buckets.values() {
            for (row, shape) in bucket {
                let others = bucket.iter().filter(|(other, _)| other != row);
                let alike = others.filter(|(_, other)| {
                    let ratios = context.options.difference_ratios;
                    similar(shape.borrowed(), other.borrowed(), &ignored, ratios)
                });
                found.push((*row, alike.map(|(other, _)| *other).collect()));
            }
        }
        found
    }

    /// The first group in a domain that may grow and differs from group `row` in the
    /// domain alone.
    pub(super) fn sibling_in(&self, row: usize, domain: &Domain) -> Option<usize> {
        let mut alike = self.all[row].siblings.iter().copied();
        alike
            .find(|&row| self.all[row].domain == *domain && self.all[row].open_template().is_some())
    }

    /// The row of the group of this name.
    pub(super) fn row_of(&self, name: &str) -> Option<usize> {
        let all = &self.all;
        all.binary_search_by(|candidate| (*candidate.group.name).cmp(name))
            .ok()
    }

    /// Rows of a group and of the similar groups that may grow, itself first.
    pub(super) fn with_similar(&self, row: usize) -> Vec<usize> {
        let similar = self.all[row].similar.iter().copied();
        let similar = similar.filter(|&row| self.all[row].open_template().is_some());
        std::iter::once(row).chain(similar).collect()
    }

    /// Number of nodes that these groups together have room for.
    pub(super) fn room(&self, family: &[usize]) -> u32 {
        let rooms = family.iter().map(|&row| self.all[row].room());
        rooms.fold(0, u32::saturating_add)
    }

    /// The upcoming nodes whose template and zone are known.
    pub(super) fn upcoming_nodes(&mut self, state: &ClusterState) -> Vec<UpcomingNodes<'_>> {
        let candidates = self.all.iter_mut();
        candidates
            .flat_map(|candidate| candidate.upcoming_nodes(state))
            .collect()
    }

    pub(super) fn skipped(&self) -> Vec<SkippedGroup> {
        let skipped = self.all.iter();
        skipped
            .filter_map(|candidate| candidate.skipped.clone())
            .collect()
    }
}
