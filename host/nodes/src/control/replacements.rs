//! Carries replacements out: marks the nodes that leave, orders the nodes that come, and lets
//! the first go once the others are ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};

use super::NodeLoop;
use super::removals::{CONCURRENCY, Removals};
use crate::census::{Census, GroupCensus};
use crate::cloud::CloudProvider;
use crate::ports::{NodeChange, NodeEvent, NodesReader, NodesWriter, WriteError};
use crate::readiness::is_ready;
use crate::record::{Order, OrderOutcome};
use crate::scale_down::ScaleDownPlan;
use crate::scale_down::moves::take::PlannedReplacement;
use crate::scale_down::moves::under_way::ReplacementUnderWay;
use crate::state::ClusterState;
use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;

/// Annotation of a node that is being replaced: what comes in its place, as JSON. A successor
/// of this process neither orders twice nor forgets.
const REPLACED_BY: &str = "flyball.dev/replaced-by";

/// How long new nodes may be without room for the pods of the nodes that leave: pods that
/// were evicted and not created again count as load for as long.
const MAX_UNFIT_MS: i64 = 6 * 60_000;

/// The value of the annotation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplacedBy {
    group: Arc<str>,
    count: u32,
    /// Target of the group with these nodes.
    target: u32,
    /// When they were ordered, in milliseconds since the Unix epoch.
    ordered: i64,
}

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Takes over replacements that another process has begun, and finds out how far those
    /// under way are.
    pub(super) fn advance_replacements(&mut self, now: Timestamp, census: &Census) -> Removals {
        let mut removals = Removals::default();
        self.take_over_replacements(census, &mut removals);
        let mut left = Vec::new();
        for mut one in std::mem::take(&mut self.scale_down.replacements.under_way) {
            match self.advance_replacement(now, census, &mut one, &mut removals) {
                Ok(()) if one.leaving.is_empty() => {}
                Ok(()) => left.push(one),
                Err(why) => self.drop_replacement(one, why, &mut removals),
            }
        }
        self.scale_down.replacements.under_way = left;
        removals
    }

    /// Finds out how far a replacement is. Returns why if it is not carried out after all.
    fn advance_replacement(
        &self,
        now: Timestamp,
        census: &Census,
        one: &mut ReplacementUnderWay,
        removals: &mut Removals,
    ) -> Result<(), String> {
        let gone = self.reader.with_state(|state| {
            let leaving = one.leaving.iter();
            let gone = leaving.filter(|name| state.node(name).is_none());
            gone.cloned().collect::<Vec<_>>()
        });
        one.leaving.retain(|name| !gone.contains(name));
        one.begun.retain(|name| !gone.contains(name));
        if one.leaving.is_empty() {
            return Ok(());
        }
        let drains = &self.scale_down.drains;
        if let Some(kept) = one.begun.iter().find(|name| drains.get(name).is_none()) {
            let why = format!("the removal of {kept} was taken back");
            return Err(why);
        }
        let begun = one.leaving.iter().filter(|name| drains.get(name).is_some());
        one.begun = begun.cloned().collect();
        if one.has_come {
            return Ok(());
        }
        let mut groups = census.groups.iter();
        let Some(group) = groups.find(|census| census.group.name == one.group) else {
            return Err("the node group is not scaled any more".to_owned());
        };
        if group.group.target_size < one.target {
            return Err("the order was taken back".to_owned());
        }
        if !self.still_saves(census, group, one) {
            return Err("it saves nothing any more".to_owned());
        }
        if let Some(backoff) = self.backoffs.of(now, &one.group) {
            let why = format!("the nodes did not come: {}", backoff.message);
            return Err(why);
        }
        let ready = self
            .reader
            .with_state(|state| self.brought(state, group, one));
        if ready >= one.count {
            one.has_come = true;
            for node in &one.leaving {
                let message = format!("{} of {} are ready in its place", one.count, one.group);
                removals.step(node, "ReplacementReady", message);
            }
            return Ok(());
        }
        let options = &self.options;
        let max = options.provision_time_ms(&group.group.scale_down);
        if now.since(one.ordered) > max {
            return Err("the nodes did not come in time".to_owned());
        }
        Ok(())
    }

    /// Whether the nodes that come still cost less than those that leave.
    fn still_saves(&self, census: &Census, group: &GroupCensus, one: &ReplacementUnderWay) -> bool {
        let before = self.reader.with_state(|state| {
            let ids = one.leaving.iter().map(|name| {
                let node = state.node(name)?;
                node.facts.provider_id.as_ref()
            });
            let prices = ids.map(|id| {
                let id = id?;
                let mut groups = census.groups.iter();
                let of = groups.find(|census| {
                    let mut instances = census.group.instances.iter();
                    instances.any(|instance| instance.provider_id == *id)
                });
                of?.group.price
            });
            prices.sum::<Option<f64>>()
        });
        let after = group.group.price.map(|price| price * f64::from(one.count));
        matches!((before, after), (Some(before), Some(after)) if after < before)
    }

    /// Number of ready nodes that have come for a replacement.
    fn brought(&self, state: &ClusterState, group: &GroupCensus, one: &ReplacementUnderWay) -> u32 {
        let instances = group.group.instances.iter();
        let nodes = instances.filter_map(|instance| state.node_of(&instance.provider_id));
        let ready = nodes.filter(|node| {
            let facts = node.facts;
            let id = facts.provider_id.as_deref().unwrap_or_default();
            one.has_brought(&group.group.name, id, facts.created)
                && is_ready(*node, &self.options)
                && !group.starting.contains(&facts.node.name)
        });
        u32::try_from(ready.count()).unwrap_or(u32::MAX)
    }

    /// Rebuilds replacements from the annotations of nodes that leave.
    fn take_over_replacements(&mut self, census: &Census, removals: &mut Removals) {
        let replacements = &mut self.scale_down.replacements;
        let find = |state: &mut ClusterState| {
            let is_marked = |name: &Arc<str>| {
                let node = state.node(name);
                node.is_some_and(|node| node.facts.annotations.contains_key(REPLACED_BY))
            };
            replacements.unmarking.retain(is_marked);
            let mut found: BTreeMap<ReplacedBy, Vec<Arc<str>>> = BTreeMap::new();
            for node in state.nodes() {
                let name = &node.facts.node.name;
                let Some(value) = node.facts.annotations.get(REPLACED_BY) else {
                    continue;
                };
                let is_known = replacements.unmarking.contains(name)
                    || replacements.of_leaving(name).is_some();
                if is_known {
                    continue;
                }
                match serde_json::from_str::<ReplacedBy>(value) {
                    Ok(by) => found.entry(by).or_default().push(Arc::clone(name)),
                    Err(_) => {
                        replacements.unmarking.insert(Arc::clone(name));
                    }
                }
            }
            found
        };
        let found = self.reader.with_state(find);
        for (by, leaving) in found {
            let groups = self
                .reader
                .with_state(|state| groups_of(state, census, &leaving));
            let mut all = census.groups.iter();
            let group = all.find(|census| census.group.name == by.group);
            let is_ordered = group.is_some_and(|census| census.group.target_size >= by.target);
            let one = ReplacementUnderWay {
                leaving,
                begun: Vec::new(),
                from: groups,
                group: by.group,
                count: by.count,
                target: by.target,
                ordered: Timestamp(by.ordered),
                known: None,
                has_come: false,
                unfit_since: None,
            };
            if is_ordered {
                for node in &one.leaving {
                    let message = "a replacement that was begun before is continued".to_owned();
                    removals.step(node, "ReplacementResumed", message);
                }
                self.scale_down.replacements.under_way.push(one);
            } else {
                self.drop_replacement(one, "its nodes were not ordered".to_owned(), removals);
            }
        }
    }

    /// Gives a replacement up: its nodes stay, unless their removal has begun.
    fn drop_replacement(&mut self, one: ReplacementUnderWay, why: String, removals: &mut Removals) {
        let names = one.leaving.join(", ");
        let group = &one.group;
        let line = format!("Scale-down: {names} not replaced by nodes of {group}: {why}");
        removals.findings.log.push(line);
        for node in &one.leaving {
            removals.step(node, "ReplacementDropped", why.clone());
        }
        self.scale_down.replacements.unmarking.extend(one.leaving);
    }

    /// Drops what no longer fits, and orders the nodes of replacements that are due. Returns
    /// also whether anything was written.
    pub(super) async fn carry_out_replacements(
        &mut self,
        now: Timestamp,
        census: &Census,
        plan: &ScaleDownPlan,
    ) -> (Removals, bool) {
        let mut removals = Removals::default();
        for mut one in std::mem::take(&mut self.scale_down.replacements.under_way) {
            let mut unfit = plan.unfit.iter();
            let unfit =
                unfit.find(|(names, _)| one.leaving.iter().any(|name| names.contains(name)));
            one.unfit_since = unfit.map(|_| one.unfit_since.unwrap_or(now));
            match (unfit, one.unfit_since) {
                (Some((_, stay)), Some(since)) if now.since(since) >= MAX_UNFIT_MS => {
                    self.drop_replacement(one, stay.to_string(), &mut removals);
                }
                _ => self.scale_down.replacements.under_way.push(one),
            }
        }
        let mut has_written = false;
        for planned in plan.replacements.iter().filter(|one| one.is_ordered) {
            if self.writer.leads() {
                has_written = true;
                self.replace(now, census, plan, planned, &mut removals)
                    .await;
            }
        }
        let unmarking: Vec<Arc<str>> = self
            .scale_down
            .replacements
            .unmarking
            .iter()
            .cloned()
            .collect();
        has_written |= !unmarking.is_empty();
        for (node, result) in self.annotate(now, &unmarking, None).await {
            if let Err(error) = result
                && error != WriteError::Gone
            {
                let message = format!("the annotation {REPLACED_BY} was not removed: {error}");
                removals.step(&node, "TakingBackFailed", message);
            }
        }
        (removals, has_written)
    }

    /// Marks the nodes that leave and orders those that come.
    async fn replace(
        &mut self,
        now: Timestamp,
        census: &Census,
        plan: &ScaleDownPlan,
        planned: &PlannedReplacement,
        removals: &mut Removals,
    ) {
        let group = &census.groups[planned.group].group;
        let count = planned.key.count;
        let target = group.target_size.saturating_add(count);
        let by = ReplacedBy {
            group: Arc::clone(&group.name),
            count,
            target,
            ordered: now.0,
        };
        let leaving = planned.key.leaving.clone();
        let from = planned.nodes.iter().map(|&at| {
            let group = plan.unneeded[at].group;
            Arc::clone(&census.groups[group].group.name)
        });
        let known = group.instances.iter();
        let one = ReplacementUnderWay {
            leaving: leaving.clone(),
            begun: Vec::new(),
            from: from.collect(),
            group: Arc::clone(&group.name),
            count,
            target,
            ordered: now,
            known: Some(known.map(|one| Arc::clone(&one.provider_id)).collect()),
            has_come: false,
            unfit_since: None,
        };
        let value = serde_json::to_string(&by).unwrap_or_default();
        for (node, result) in self.annotate(now, &leaving, Some(&value)).await {
            if let Err(error) = result {
                let why = format!("{node} could not be marked: {error}");
                self.drop_replacement(one, why, removals);
                return;
            }
        }
        let names = leaving.join(", ");
        let message = format!("Scale-down: replacing {names} by {count} of {}", group.name);
        removals.findings.log.push(message.clone());
        let event = NodeEvent::normal("ReplaceNodes", message);
        removals.findings.events.push(event);
        let order = Order {
            group: Arc::clone(&group.name),
            from: group.target_size,
            to: target,
            max: group.max_size,
        };
        let (outcome, findings) = self.send_order(now, &order).await;
        removals.findings.extend(findings);
        match outcome {
            OrderOutcome::Ordered => {
                for node in &leaving {
                    let message = format!("{count} of {} were ordered in its place", group.name);
                    removals.step(node, "ReplacementOrdered", message);
                }
                self.scale_down.replacements.under_way.push(one);
            }
            OrderOutcome::Failed { message, .. } => {
                self.drop_replacement(one, message, removals);
            }
        }
    }

    /// Writes or removes the annotation of nodes that leave.
    async fn annotate(
        &self,
        now: Timestamp,
        nodes: &[Arc<str>],
        value: Option<&str>,
    ) -> Vec<(Arc<str>, Result<(), WriteError>)> {
        let changes = self.reader.with_state(|state| {
            let changes = nodes.iter().map(|name| {
                let uid = state.node(name).map(|node| Arc::clone(&node.facts.uid));
                NodeChange {
                    name: Arc::clone(name),
                    uid: uid.filter(|uid| !uid.is_empty()),
                    annotations: vec![(REPLACED_BY.into(), value.map(Arc::from))],
                    ..NodeChange::default()
                }
            });
            changes.collect::<Vec<_>>()
        });
        let writes = stream::iter(changes).map(|change| async {
            let name = Arc::clone(&change.name);
            (name, self.writer.update_node(now, change).await)
        });
        writes.buffered(CONCURRENCY).collect().await
    }
}

/// Names of the groups of these nodes.
fn groups_of(state: &ClusterState, census: &Census, nodes: &[Arc<str>]) -> Vec<Arc<str>> {
    let ids = nodes.iter().filter_map(|name| state.node(name));
    let ids: Vec<&Arc<str>> = ids
        .filter_map(|node| node.facts.provider_id.as_ref())
        .collect();
    let groups = census.groups.iter().filter(|census| {
        let mut instances = census.group.instances.iter();
        instances.any(|instance| ids.contains(&&instance.provider_id))
    });
    groups
        .map(|census| Arc::clone(&census.group.name))
        .collect()
}
