//! `flyball run`: arguments of the half that orders nodes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use flyball_cloud::NodeGroupSpec;
use flyball_cloud::aws::AutoDiscovery;
use flyball_nodes::scale_down::ScaleDownMode;
use flyball_simulation::time::Millis;

use super::planning::Planning;
use super::scale_down::Removal;
use super::values::{duration, positive_duration};
use super::without_effect::WithoutEffect;

/// A half of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Controller {
    /// Replicas of workloads.
    Replicas,
    /// Nodes of the cluster.
    Nodes,
}

/// Whether the half that orders and removes nodes changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NodesMode {
    /// It orders and removes nodes.
    Active,
    /// It decides and records.
    Observe,
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
    /// replicas, and nodes if --nodes or --node-group-auto-discovery is given]
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "replicas,nodes",
        hide_possible_values = true,
        help_heading = None
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
    /// Prices of nodes for an hour, a YAML list such as
    /// `[{instanceType: m5.large, zone: eu-west-1a, purchase: spot, price: 0.04}]`; zone
    /// and purchase (spot, on-demand) may be left out
    #[arg(long, value_name = "FILE")]
    pub node_prices: Option<PathBuf>,
    /// Whether node groups are changed; observe: decide and record, and neither order nor
    /// remove nodes
    #[arg(
        long,
        value_enum,
        value_name = "active|observe",
        default_value = "active"
    )]
    #[arg(hide_possible_values = true)]
    pub nodes_mode: NodesMode,
    /// Time from one look for pending pods to the next
    #[arg(long, value_name = "DURATION", value_parser = positive_duration, default_value = "10s")]
    pub scan_interval: Millis,
    /// How long a node that was ordered may take to join
    #[arg(long, value_name = "DURATION", value_parser = positive_duration, default_value = "15m0s")]
    pub max_node_provision_time: Millis,
    /// How long a node group is left alone after it first failed
    #[arg(long, value_name = "DURATION", value_parser = positive_duration, default_value = "5m0s")]
    pub initial_node_group_backoff_duration: Millis,
    /// How long a node group is left alone at most, after several failures
    #[arg(long, value_name = "DURATION", value_parser = positive_duration, default_value = "30m0s")]
    pub max_node_group_backoff_duration: Millis,
    /// Time without a failure after which the failures of a node group are forgotten
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "3h0m0s")]
    pub node_group_backoff_reset_timeout: Millis,
    /// Namespace of the ConfigMaps cluster-autoscaler-priority-expander and
    /// cluster-autoscaler-status, on which events about the nodes' half are published
    #[arg(long, value_name = "NAME", default_value = "kube-system")]
    pub namespace: String,
    // These have headings of their own, which would become those of what follows.
    #[command(flatten)]
    pub planning: Planning,
    #[command(flatten)]
    pub removal: Removal,
    #[command(flatten)]
    pub without_effect: WithoutEffect,
}

impl Nodes {
    /// Returns what scale-down does.
    pub fn scale_down(&self) -> ScaleDownMode {
        match (self.removal.scale_down.into(), self.nodes_mode) {
            _ if !self.removal.scale_down_enabled => ScaleDownMode::Off,
            (ScaleDownMode::On, NodesMode::Observe) => ScaleDownMode::Observe,
            (mode, _) => mode,
        }
    }

    /// Whether what scale-down reads has to be watched.
    pub fn scales_down(&self) -> bool {
        self.scale_down() != ScaleDownMode::Off
    }

    /// Reports whether this half runs.
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use flyball_nodes::options::NodeOptions;
    use flyball_nodes::scale_down::ScaleDownMode;

    use super::{Controller, Nodes};
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
        let parsed = node_options(&parse(&[])?, false, |_, _| true)?;
        let mut defaults = NodeOptions::default();
        defaults.scale_down.mode = ScaleDownMode::On;
        for policy in &mut defaults.scale_down.policies {
            let of_flags = parsed.scale_down.policies.iter();
            let mut of_flags = of_flags.filter(|choice| choice.name == policy.name);
            let configuration = of_flags.next().map(|choice| &choice.configuration);
            policy.configuration = configuration.cloned().unwrap_or_default();
        }
        assert_eq!(parsed, defaults);
        Ok(())
    }

    #[test]
    fn a_group_has_one_pair_of_bounds() -> Result<(), clap::Error> {
        let twice = parse(&["--nodes=1:4:a", "--nodes=1:4:b", "--nodes=2:9:a"])?;
        let error = node_options(&twice, false, |_, _| true).err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("--nodes names a more than once"), "{error}");
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
    fn how_nodes_leave_is_read_and_a_contradiction_refused() -> anyhow::Result<()> {
        let parsed = parse(&[
            "--max-disruption=20/1h",
            "--drain-priority-config=-10:5,1000:60",
            "--keep-room-for-missing-replicas",
            "--explain-on-nodes",
        ])?;
        let options = node_options(&parsed, false, |_, _| true)?.scale_down;
        assert_eq!(options.max_disruption, Some("20/1h".parse()?));
        assert_eq!(options.drain_priorities, "-10:5,1000:60".parse()?);
        assert!(options.keep_room_for_missing_replicas && options.explain_on_nodes);
        let grace = "--max-graceful-termination-sec=10";
        assert!(parse(&[grace]).is_ok());
        assert!(parse(&[grace, "--drain-priority-config=0:60"]).is_err());
        for wrong in ["--max-disruption=5/2h", "--drain-priority-config=high"] {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn switches_are_written_as_the_peers() -> Result<(), clap::Error> {
        let parse = |args: &[&str]| parse(args).map(|nodes| nodes.planning);
        assert!(parse(&["--balance-similar-node-groups"])?.balance_similar_node_groups);
        assert!(parse(&["--balance-similar-node-groups=true"])?.balance_similar_node_groups);
        assert!(!parse(&["--scale-up-from-zero=false"])?.scale_up_from_zero);
        assert_eq!(
            parse(&["--expendable-pods-priority-cutoff", "-5"])?.expendable_pods_priority_cutoff,
            -5
        );
        Ok(())
    }
}
