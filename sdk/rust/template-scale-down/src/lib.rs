//! A scale-down policy for Flyball: which nodes may leave, and which pods keep theirs?

use flyball_policy::{
    NodeVerdict, NodeVerdicts, PodVerdict, PodVerdicts, ScaleDownNodes, ScaleDownPods,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// What the operator may set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Namespaces whose pods are not moved.
    pub keep_namespaces: Vec<String>,
    /// Nodes of a group leave only if so many of its nodes are ready.
    pub min_ready_nodes: u32,
}

/// Judges pods: those of some namespaces keep their node. Of others this policy has no
/// opinion, so the other policies of the chain decide.
pub fn judge_pods(input: &ScaleDownPods<Config>) -> PodVerdicts {
    PodVerdicts::each(input, |pod| {
        let kept = &input.config().keep_namespaces;
        if kept.iter().any(|namespace| namespace == pod.namespace()) {
            return PodVerdict::block().because("NamespaceKept", "its namespace is kept");
        }
        PodVerdict::no_opinion()
    })
}

/// Judges nodes: a group keeps its nodes while few of them are ready. The host does not
/// name the node in the sentence, it knows it: nodes with the same reason share it.
pub fn judge_nodes(input: &ScaleDownNodes<Config>) -> NodeVerdicts {
    let least = input.config().min_ready_nodes;
    NodeVerdicts::each(input, |node| match node.group() {
        Some(group) if group.ready_nodes() < least => NodeVerdict::must_stay().because(
            "FewReadyNodes",
            format!("fewer than {least} nodes of its group are ready"),
        ),
        _ => NodeVerdict::no_opinion(),
    })
}

flyball_policy::scale_down_policy! {
    summary: "Keeps the nodes of some namespaces, and of groups with few ready nodes",
    config: Config,
    judge_pods: judge_pods,
    judge_nodes: judge_nodes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyball_policy::{GroupSpec, ScaleDownNodeSpec, ScaleDownPodSpec};

    #[test]
    fn pods_of_a_kept_namespace_keep_their_node() {
        let config = Config {
            keep_namespaces: vec!["ci".into()],
            ..Config::default()
        };
        let input = ScaleDownPods::build()
            .config(config)
            .node(ScaleDownNodeSpec::default())
            .pod(ScaleDownPodSpec::default())
            .pod(ScaleDownPodSpec::default().namespace("ci"));
        input.check_rows(judge_pods);
        let verdicts = judge_pods(&input.done());
        assert!(!verdicts.blocks(0));
        assert!(verdicts.blocks(1));
        assert_eq!(verdicts.code(1), Some("NamespaceKept"));
    }

    #[test]
    fn a_group_with_few_ready_nodes_keeps_them() {
        let config = Config {
            min_ready_nodes: 3,
            ..Config::default()
        };
        let input = ScaleDownNodes::build()
            .config(config)
            .group(GroupSpec::named("small").sizes(2, 1, 10))
            .group(GroupSpec::named("large").sizes(3, 1, 10))
            .node(ScaleDownNodeSpec::of("small"))
            .node(ScaleDownNodeSpec::of("large"));
        input.check_rows(judge_nodes);
        let verdicts = judge_nodes(&input.done());
        assert!(verdicts.must_stay(0));
        assert!(!verdicts.must_stay(1));
    }
}
