//! `flyball plan`: arguments.

use std::path::PathBuf;

use clap::Args;

use super::FormatArgs;
use super::budgets::Budgets;
use super::directories::PoliciesDir;
use super::planning::Planning;

/// Show which nodes would be ordered for the pending pods in a dump of a cluster, and
/// which nodes could go
///
/// A dry run on any cluster, without access to it or to its cloud. It prints every
/// option with its nodes and the pods that it helps, how the expander ranked the
/// options and why, and for each pod that fits nowhere the first rule that fails in
/// each node group. Then it prints the nodes that could go now, in order, each with
/// its pods, the nodes that they would move to, and what it saves an hour; and for
/// every other node one reason why it stays. A dump has no timers, so none counts.
/// The time is that of the dump, if the dump has one. Nodes that a group is to have
/// count as upcoming if they are missing or not ready.
///
/// Examples:
///   kubectl get nodes,pods,pdb,rs,rc,deploy,sts,ds,job,pvc,pv,sc,csinodes,csidrivers,csistoragecapacities,volumeattachments,ns -A -o json > cluster.json
///   flyball plan cluster.json --node-groups groups.yaml
///   flyball plan cluster.json --node-groups groups.yaml --expander price,least-waste -o json
///
/// FILE of --node-groups:
///   nodeGroups:
///   - name: workers
///     min: 1
///     max: 10
///     nodeSelector: {kops.k8s.io/instancegroup: nodes}   # its nodes in the dump
///     size: 4                                            # what it is to have; left out: those
///     price: 0.0832                                      # of a node for an hour
///   - name: compute                                      # none of it is there
///     max: 4
///     zones: [a, b]                                      # the cloud chooses; left out: any of the cluster's
///     template:
///       capacity: {cpu: 8, memory: 16Gi, pods: 58}
///       labels: {pool: compute}
///       taints: [{key: dedicated, value: compute, effect: NoSchedule}]
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[allow(
    clippy::doc_overindented_list_items,
    reason = "YAML, which the help prints as it stands"
)]
pub struct PlanArgs {
    /// What `kubectl get … -A -o json` (or yaml) printed; - is standard input
    #[arg(value_name = "DUMP")]
    pub dump: PathBuf,
    /// The node groups, in YAML
    #[arg(long, value_name = "FILE")]
    pub node_groups: PathBuf,
    #[command(flatten)]
    pub planning: Planning,
    #[command(flatten)]
    pub policies: PoliciesDir,
    #[command(flatten)]
    pub budgets: Budgets,
    #[command(flatten)]
    pub output: FormatArgs,
}
