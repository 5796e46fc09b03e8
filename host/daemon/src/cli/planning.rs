//! Arguments of a plan of nodes, for the daemon as well as for a dry run.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args};
use flyball_nodes::options::Bounds;
use flyball_simulation::time::Millis;

use super::scale_down::Unneeded;
use super::values::duration;

/// Which pods nodes are ordered for, who chooses among node groups, and what no
/// choice can lift. Names and defaults are Cluster Autoscaler's.
#[derive(Debug, Clone, Args)]
pub struct Planning {
    /// Policies that choose among node groups, asked in this order until one is left
    #[arg(
        long,
        value_name = "NAME,…",
        default_value = flyball_decision::policy::DEFAULT_EXPANDER
    )]
    pub expander: String,
    /// Configuration of an expander, a file of YAML or JSON (repeatable). Without
    /// one, the expander priority of the daemon reads the ConfigMap
    /// cluster-autoscaler-priority-expander
    #[arg(long, value_name = "NAME=FILE")]
    pub expander_config: Vec<PolicyConfig>,
    /// Maximum number of nodes in the cluster; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_nodes_total: u32,
    /// Minimum and maximum of the cores in the cluster
    #[arg(long, value_name = "MIN:MAX", default_value = "0:320000", value_parser = bounds)]
    pub cores_total: Bounds,
    /// Minimum and maximum of the memory in the cluster, in GiB
    #[arg(long, value_name = "MIN:MAX", default_value = "0:6400000", value_parser = gibibytes)]
    pub memory_total: Bounds,
    /// Maximum number of nodes that one pass adds; 0: no limit
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
    /// Minimum age of a pod for which nodes are ordered
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    pub new_pod_scale_up_delay: Millis,
    /// Priority below which no nodes are ordered for a pod
    #[arg(long, value_name = "N", default_value_t = -10, allow_negative_numbers = true)]
    pub expendable_pods_priority_cutoff: i32,
    /// Whether nodes are ordered while no node of the cluster is ready
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub scale_up_from_zero: bool,
    /// Percentage of nodes that may be unready. If more nodes are unready than this and
    /// than --ok-total-unready-count, no nodes are ordered
    #[arg(long, value_name = "N", default_value_t = 45.0)]
    pub max_total_unready_percentage: f64,
    /// Number of nodes that may be unready, whatever their percentage
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub ok_total_unready_count: u32,
    /// Key of a taint that nodes have only while they start (repeatable). New nodes are
    /// assumed not to have it
    #[arg(long, visible_alias = "ignore-taint", value_name = "KEY")]
    pub startup_taint: Vec<String>,
    #[command(flatten)]
    pub unneeded: Unneeded,
}

/// A policy and the file of its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// The policy.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
}

impl FromStr for PolicyConfig {
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
    use flyball_nodes::options::Bounds;

    use super::bounds;

    #[test]
    fn bounds_are_two_numbers_in_order() {
        assert_eq!(bounds("1:2"), Ok(Bounds { min: 1, max: 2 }));
        for wrong in ["1", "2:1", "-1:2", "1:many"] {
            assert!(bounds(wrong).is_err(), "{wrong}");
        }
    }
}
