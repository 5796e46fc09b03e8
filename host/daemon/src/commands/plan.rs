//! `flyball plan`: prints which nodes would be ordered for the pods in a dump, and which
//! could go.

mod groups;
mod removals;
mod text;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flyball_cloud::conventions_of;
use flyball_decision::memory::PolicyMemories;
use flyball_decision::policy::PolicyEngine as _;
use flyball_decision::time::Timestamp;
use flyball_kubernetes::Dump;
use flyball_nodes::backoff::Backoffs;
use flyball_nodes::census::Census;
use flyball_nodes::cloud::Conventions;
use flyball_nodes::record::{NodeVerdict, Pending, Remaining, Round, SkippedGroup, Upcoming};
use flyball_nodes::scale_up::{PlanContext, plan};
use flyball_nodes::state::ClusterState;
use serde::Serialize;

use self::removals::Removals;
use super::Exit;
use crate::cli::{Format, PlanArgs};
use crate::{output, wiring};

/// The plan and its inputs, as printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanReport {
    at: Timestamp,
    nodes: usize,
    pods: usize,
    groups: Vec<GroupSummary>,
    problems: Vec<String>,
    pending: Pending,
    skipped: Vec<SkippedGroup>,
    upcoming: Vec<Upcoming>,
    rounds: Vec<Round>,
    remaining: Vec<Remaining>,
    verdict: NodeVerdict,
    scale_down: Removals,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupSummary {
    name: String,
    min: u32,
    max: u32,
    size: u32,
    nodes: usize,
}

pub fn run(args: &PlanArgs) -> anyhow::Result<Exit> {
    let file = args.dump.display();
    let text = flyball_files::open(&args.dump).with_context(|| format!("cannot read {file}"))?;
    let mut dump = Dump::read(text).with_context(|| format!("{file} is not a dump"))?;
    let groups = groups::read(&args.node_groups, &dump.state)?;
    let files = wiring::policy_files(args.policies.policies_dir.as_deref())?;
    let registry = wiring::fixed_registry(&files, &args.budgets)?;
    let is_policy = |kind: &str, name: &str| registry.policy(kind, name).is_ok();
    let mut options = wiring::planning_options(&args.planning, is_policy)?;
    if let Some(cloud) = cloud_of(&dump.state) {
        options.add_cloud(cloud);
    }
    wiring::check_configurations(&registry, &options.expanders)?;
    wiring::check_configurations(&registry, &options.scale_down.policies)?;
    let now = time_of(&dump);
    let census = Census::without_history(now, &dump.state, &groups, &options);
    if let Some((unready, nodes)) = census.unhealthy(&options) {
        dump.problems.push(format!(
            "{unready} of {nodes} nodes are unready: with so many the daemon orders and removes \
             nothing"
        ));
    }
    let context = PlanContext {
        now,
        options: &options,
        engine: &registry,
        memories: &PolicyMemories::default(),
        census: &census,
        backoffs: &Backoffs::default(),
        seed: 0,
    };
    let plan = plan(&context, &mut dump.state);
    dump.problems.extend(plan.put_off_message());
    let mut scale_down = removals::plan(now, &mut dump.state, &census, &options, &registry);
    if !plan.verdict.orders.is_empty() && !scale_down.removed.is_empty() {
        let note = "while nodes are ordered, the daemon removes none";
        scale_down.notes.push(note.to_owned());
    }
    let summaries = groups.iter().map(|group| GroupSummary {
        name: group.name.to_string(),
        min: group.min_size,
        max: group.max_size,
        size: group.target_size,
        nodes: group.instances.len(),
    });
    let report = PlanReport {
        at: now,
        nodes: dump.state.nodes().count(),
        pods: dump.state.pod_count(),
        groups: summaries.collect(),
        problems: dump.problems,
        pending: plan.pending,
        skipped: plan.skipped,
        upcoming: plan.upcoming,
        rounds: plan.rounds,
        remaining: plan.remaining,
        verdict: plan.verdict,
        scale_down,
    };
    match args.output.format {
        Format::Json => output::print_json(&report)?,
        Format::Text => text::print(&report)?,
    }
    Ok(Exit::Success)
}

/// Returns how the cloud of the first node of a known cloud labels its nodes.
fn cloud_of(state: &ClusterState) -> Option<Conventions> {
    let mut ids = state
        .nodes()
        .filter_map(|node| node.facts.provider_id.as_ref());
    ids.find_map(|id| conventions_of(id))
}

/// Returns the time at which the dump was taken, as far as it shows, and at most the
/// current time.
fn time_of(dump: &Dump) -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX));
    dump.latest.map_or(now, |latest| latest.min(now))
}
