//! `flyball run`: arguments of the half that orders nodes.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args, ValueEnum};
use flyball_cloud::NodeGroupSpec;
use flyball_cloud::aws::AutoDiscovery;
use flyball_core::nodes::options::Bounds;
use flyball_simulation::time::Millis;

use super::values::duration;

/// A half of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Controller {
    /// Replicas of workloads.
    Replicas,
    /// Nodes of the cluster.
    Nodes,
}

/// A cloud.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CloudProvider {
    /// AWS: Auto Scaling groups.
    #[default]
    Aws,
}

/// Node groups, and how they grow. Names and defaults are Cluster Autoscaler's
/// where it has the flag.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Node groups, as Cluster Autoscaler's flags of these names")]
pub struct Nodes {
    /// Which halves run: replicas of workloads, nodes of the cluster [default:
    /// replicas, and nodes where --nodes or --node-group-auto-discovery is given]
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "replicas,nodes",
        hide_possible_values = true,
        help_heading = "Options"
    )]
    pub controllers: Vec<Controller>,
    /// The cloud that the node groups are in
    #[arg(long, value_enum, default_value_t, value_name = "aws")]
    #[arg(hide_possible_values = true)]
    pub cloud_provider: CloudProvider,
    /// A node group and its bounds, such as 1:10:workers (repeatable)
    #[arg(long, value_name = "MIN:MAX:NAME")]
    pub nodes: Vec<NodeGroupSpec>,
    /// Finds the node groups that have all these tags; their bounds are their own
    /// (repeatable: a group must have the tags of every one)
    #[arg(long, value_name = "asg:tag=KEY[=VALUE],…")]
    pub node_group_auto_discovery: Vec<AutoDiscovery>,
    /// Region of AWS [default: as AWS' tools find it; AWS_ENDPOINT_URL is heeded]
    #[arg(long, value_name = "NAME")]
    pub aws_region: Option<String>,
    /// Policies that choose among node groups, asked in this order until one is left
    #[arg(
        long,
        value_name = "NAME,…",
        default_value = flyball_core::policy::DEFAULT_EXPANDER
    )]
    pub expander: String,
    /// Configuration of an expander, a file of YAML or JSON (repeatable). Without
    /// one, priority goes by the ConfigMap cluster-autoscaler-priority-expander
    #[arg(long, value_name = "NAME=FILE")]
    pub expander_config: Vec<ExpanderConfig>,
    /// Most nodes in the cluster; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_nodes_total: u32,
    /// Least and most cores in the cluster
    #[arg(long, value_name = "MIN:MAX", default_value = "0:320000", value_parser = bounds)]
    pub cores_total: Bounds,
    /// Least and most memory in the cluster, in GiB
    #[arg(long, value_name = "MIN:MAX", default_value = "0:6400000", value_parser = gibibytes)]
    pub memory_total: Bounds,
    /// Most nodes that one pass adds; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_nodes_per_scaleup: u32,
    /// Spreads new nodes over node groups whose nodes are alike
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub balance_similar_node_groups: bool,
    /// A label that does not make node groups different (repeatable)
    #[arg(long, value_name = "LABEL")]
    pub balancing_ignore_label: Vec<String>,
    /// Time from one look for pending pods to the next
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub scan_interval: Millis,
    /// How long a node that was ordered may take to join
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15m0s")]
    pub max_node_provision_time: Millis,
    /// Age from which on a pod may have nodes ordered for it
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    pub new_pod_scale_up_delay: Millis,
    /// Pods with a priority below it have no nodes ordered for them
    #[arg(long, value_name = "N", default_value_t = -10, allow_negative_numbers = true)]
    pub expendable_pods_priority_cutoff: i32,
    /// Whether node groups without a node may grow
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub scale_up_from_zero: bool,
    /// Percentage of nodes that may be unready, beside --ok-total-unready-count
    #[arg(long, value_name = "N", default_value_t = 45.0)]
    pub max_total_unready_percentage: f64,
    /// Number of nodes that may be unready in any case
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub ok_total_unready_count: u32,
    /// How long a node group is left alone after it first failed
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m0s")]
    pub initial_node_group_backoff_duration: Millis,
    /// How long it is left alone at most
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30m0s")]
    pub max_node_group_backoff_duration: Millis,
    /// Time without a failure after which failures are forgotten
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "3h0m0s")]
    pub node_group_backoff_reset_timeout: Millis,
    /// Key of a taint that nodes have while they start, and new nodes are taken not
    /// to have (repeatable)
    #[arg(long, visible_alias = "ignore-taint", value_name = "KEY")]
    pub startup_taint: Vec<String>,
    /// Namespace of the ConfigMaps cluster-autoscaler-priority-expander and
    /// cluster-autoscaler-status, on which events about the nodes' half are published
    #[arg(long, value_name = "NAME", default_value = "kube-system")]
    pub namespace: String,
}

impl Nodes {
    /// Whether this half runs.
    pub fn runs(&self, controller: Controller) -> bool {
        if !self.controllers.is_empty() {
            return self.controllers.contains(&controller);
        }
        match controller {
            Controller::Replicas => true,
            Controller::Nodes => {
                !self.nodes.is_empty() || !self.node_group_auto_discovery.is_empty()
            }
        }
    }
}

/// Where an expander's configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpanderConfig {
    /// The expander.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
}

impl FromStr for ExpanderConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok(Self {
                name: name.to_owned(),
                file: file.into(),
            }),
            _ => Err("write NAME=FILE, such as price=prices.yaml".to_owned()),
        }
    }
}

fn bounds(text: &str) -> Result<Bounds, String> {
    let parsed = text.split_once(':').and_then(|(min, max)| {
        Some(Bounds {
            min: min.parse().ok()?,
            max: max.parse().ok()?,
        })
    });
    match parsed {
        Some(bounds) if bounds.min <= bounds.max => Ok(bounds),
        Some(_) => Err(format!("{text:?}: the most is below the least")),
        None => Err(format!("{text:?}: write MIN:MAX, such as 0:1000")),
    }
}

fn gibibytes(text: &str) -> Result<Bounds, String> {
    let bounds = bounds(text)?;
    let bytes = |gibibytes: u64| gibibytes.saturating_mul(1 << 30);
    Ok(Bounds {
        min: bytes(bounds.min),
        max: bytes(bounds.max),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use flyball_core::nodes::options::{Bounds, NodeOptions};

    use super::{Controller, Nodes, bounds};
    use crate::wiring::node_options;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        nodes: Nodes,
    }

    fn parse(args: &[&str]) -> Result<Nodes, clap::Error> {
        let args = [&["flyball"], args].concat();
        Cli::try_parse_from(args).map(|cli| cli.nodes)
    }

    #[test]
    fn flags_left_out_are_the_peers_defaults() -> anyhow::Result<()> {
        let parsed = node_options(&parse(&[])?, false, |_| true)?;
        assert_eq!(parsed, NodeOptions::default());
        Ok(())
    }

    #[test]
    fn the_nodes_half_runs_where_a_group_is_given_or_it_is_asked_for() -> Result<(), clap::Error> {
        let both = |nodes: &Nodes| [Controller::Replicas, Controller::Nodes].map(|c| nodes.runs(c));
        assert_eq!(both(&parse(&[])?), [true, false]);
        assert_eq!(both(&parse(&["--nodes", "1:4:workers"])?), [true, true]);
        let tags = "--node-group-auto-discovery=asg:tag=k";
        assert_eq!(both(&parse(&[tags])?), [true, true]);
        assert_eq!(
            both(&parse(&["--controllers", "nodes", tags])?),
            [false, true]
        );
        assert_eq!(
            both(&parse(&["--controllers=replicas", tags])?),
            [true, false]
        );
        Ok(())
    }

    #[test]
    fn switches_are_written_as_the_peers() -> Result<(), clap::Error> {
        assert!(parse(&["--balance-similar-node-groups"])?.balance_similar_node_groups);
        assert!(parse(&["--balance-similar-node-groups=true"])?.balance_similar_node_groups);
        assert!(!parse(&["--scale-up-from-zero=false"])?.scale_up_from_zero);
        assert_eq!(
            parse(&["--expendable-pods-priority-cutoff", "-5"])?.expendable_pods_priority_cutoff,
            -5
        );
        Ok(())
    }

    #[test]
    fn bounds_are_two_numbers_in_order() {
        assert_eq!(bounds("1:2"), Ok(Bounds { min: 1, max: 2 }));
        for wrong in ["1", "2:1", "-1:2", "1:many"] {
            assert!(bounds(wrong).is_err(), "{wrong}");
        }
    }
}
