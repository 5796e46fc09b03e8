//! Warnings about the ConfigMap that configures the expander `priority`, as Cluster
//! Autoscaler emits them. They are derived from the policy's reason.

use flyball_decision::event::Event;
use flyball_decision::expander::{ExpanderRanking, OptionColumns};

/// Reason of the event about a missing ConfigMap. Cluster Autoscaler emits none then.
pub const MISSING: &str = "PriorityConfigMapMissing";
const INVALID: &str = "PriorityConfigMapInvalid";
const NO_GROUP_MATCHED: &str = "PriorityConfigMapNoGroupMatched";
const NOT_MATCHED_GROUP: &str = "PriorityConfigMapNotMatchedGroup";
/// Name of the policy's argument with the row of a group that matches no priority.
const UNMATCHED: &str = "unmatched";

/// Returns warnings about what the policy found wrong when it ranked these options.
#[must_use]
pub fn warnings(options: &OptionColumns, ranking: &ExpanderRanking) -> Vec<Event> {
    let reason = &ranking.reason;
    let arguments = reason.arguments.iter();
    let unmatched = arguments.filter(|(name, _)| name == UNMATCHED);
    let groups =
        unmatched.filter_map(|(_, row)| options.node_group.get(row.parse::<usize>().ok()?));
    let unmatched = groups.map(|group| Event {
        warning: true,
        reason: NOT_MATCHED_GROUP.to_owned(),
        message: format!("node group {group} matches no priority: it is for when none does"),
    });
    let codes = [MISSING, INVALID, NO_GROUP_MATCHED].into_iter();
    let kept_all = codes.filter(|code| *code == reason.code);
    let kept_all = kept_all.map(|code| Event {
        warning: true,
        reason: code.to_owned(),
        message: format!("{}; every option is kept", reason.sentence),
    });
    unmatched.chain(kept_all).collect()
}
