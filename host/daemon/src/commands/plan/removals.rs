//! The half of a plan that removes nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::memory::PolicyMemories;
use flyball_decision::policy::PolicyEngine;
use flyball_decision::time::Timestamp;
use flyball_nodes::backoff::Backoffs;
use flyball_nodes::census::Census;
use flyball_nodes::options::NodeOptions;
use flyball_nodes::record::{MovedPodRecord, NeededRecord, ReplacementRecord};
use flyball_nodes::scale_down::explain::{
    explained, moved_pods, needed_record, replacement_record,
};
use flyball_nodes::scale_down::{
    ScaleDownContext, ScaleDownMode, ScaleDownOptions, ScaleDownPlan, ScaleDownTracker,
    plan_scale_down,
};
use flyball_nodes::state::ClusterState;
use serde::Serialize;

/// What a dump cannot tell.
const TIMERS: &str = "timers are not in a dump and are left out: how long nodes have not been \
                      needed, delays after other changes, and how many nodes leave at a time";

/// Which nodes could go, and why the others stay.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removals {
    /// The nodes that could go now, in this order.
    pub removed: Vec<RemovedNode>,
    /// What that saves an hour. `None` if the price of one of them is not known.
    pub saved_per_hour: Option<f64>,
    /// Nodes that cheaper ones could take the place of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replacements: Vec<ReplacementRecord>,
    /// All other nodes, ordered by name, each with one reason.
    pub staying: Vec<NeededRecord>,
    /// What to know about it.
    pub notes: Vec<String>,
}

/// A node that could go now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovedNode {
    pub node: Arc<str>,
    pub group: Arc<str>,
    /// Its price for an hour, if known.
    pub price: Option<f64>,
    /// The pods that move, and where each finds room.
    pub pods: Vec<MovedPodRecord>,
}

/// Plans removals as a daemon would for which all times are over.
pub fn plan(
    now: Timestamp,
    state: &mut ClusterState,
    census: &Census,
    options: &NodeOptions,
    engine: &dyn PolicyEngine,
) -> Removals {
    let options = NodeOptions {
        scale_down: ScaleDownOptions {
            mode: ScaleDownMode::On,
            unneeded_time_ms: 0,
            unready_time_ms: 0,
            max_parallelism: u32::MAX,
            max_drain_parallelism: u32::MAX,
            max_disruption: None,
            ..options.scale_down.clone()
        },
        ..options.clone()
    };
    let context = ScaleDownContext {
        now,
        options: &options,
        engine,
        memories: &PolicyMemories::default(),
        census,
        backoffs: &Backoffs::default(),
        order: None,
        hold: None,
        seed: 0,
    };
    let plan = plan_scale_down(&context, state, &mut ScaleDownTracker::default());
    report(census, state, &plan)
}

fn report(census: &Census, state: &ClusterState, plan: &ScaleDownPlan) -> Removals {
    let removed = plan.removed.iter().filter_map(|&at| {
        let node = plan.unneeded.get(at)?;
        let group = &census.groups.get(node.group)?.group;
        Some(RemovedNode {
            node: Arc::clone(&node.name),
            group: Arc::clone(&group.name),
            price: group.price,
            pods: moved_pods(state, &node.pods),
        })
    });
    let removed: Vec<RemovedNode> = removed.collect();
    let waiting = plan.waiting.iter().filter_map(|(at, stay)| {
        let node = Arc::clone(&plan.unneeded.get(*at)?.name);
        let stay = explained(state, &node, stay);
        Some(NeededRecord { node, stay })
    });
    // The last reason of a node counts.
    let waiting: BTreeMap<_, _> = waiting.map(|one| (Arc::clone(&one.node), one)).collect();
    let mut staying = Vec::with_capacity(plan.needed.len() + waiting.len());
    staying.extend(waiting.into_values());
    staying.extend(plan.needed.iter().map(|node| needed_record(state, node)));
    staying.sort_by(|a: &NeededRecord, b| a.node.cmp(&b.node));
    let mut notes = vec![TIMERS.to_owned()];
    let events = plan.policy_events.iter();
    notes.extend(events.map(|event| format!("{}: {}", event.reason, event.message)));
    Removals {
        saved_per_hour: removed.iter().map(|node| node.price).sum(),
        removed,
        replacements: plan.replacements.iter().map(replacement_record).collect(),
        staying,
        notes,
    }
}
