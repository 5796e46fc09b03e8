//! Flags of Cluster Autoscaler that change nothing here.

use clap::Args;

/// Flags of Cluster Autoscaler that have no meaning here. They are accepted, so that its
/// command line can be kept.
#[derive(Debug, Clone, Args)]
pub struct WithoutEffect {
    #[arg(long, hide = true)]
    pub unremovable_node_recheck_timeout: Option<String>,
    #[arg(long, hide = true)]
    pub scale_down_simulation_timeout: Option<String>,
    #[arg(long, hide = true)]
    pub scale_down_non_empty_candidates_count: Option<String>,
    #[arg(long, hide = true)]
    pub scale_down_candidates_pool_ratio: Option<String>,
    #[arg(long, hide = true)]
    pub scale_down_candidates_pool_min_count: Option<String>,
    #[arg(long, hide = true)]
    pub v: Option<String>,
    #[arg(long, hide = true)]
    pub stderrthreshold: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true")]
    pub logtostderr: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true")]
    pub alsologtostderr: Option<String>,
}

impl WithoutEffect {
    /// Returns the flags that were given, each with the reason why it has no effect.
    pub fn given(&self) -> Vec<(&'static str, &'static str)> {
        let changes = "a node that stays is looked at again when what keeps it changes";
        let all = "all nodes are looked at in each pass";
        let log = "the log goes to standard error, and -v or RUST_LOG set its level";
        let flags = [
            (
                &self.unremovable_node_recheck_timeout,
                "--unremovable-node-recheck-timeout",
                changes,
            ),
            (
                &self.scale_down_simulation_timeout,
                "--scale-down-simulation-timeout",
                all,
            ),
            (
                &self.scale_down_non_empty_candidates_count,
                "--scale-down-non-empty-candidates-count",
                all,
            ),
            (
                &self.scale_down_candidates_pool_ratio,
                "--scale-down-candidates-pool-ratio",
                all,
            ),
            (
                &self.scale_down_candidates_pool_min_count,
                "--scale-down-candidates-pool-min-count",
                all,
            ),
            (&self.v, "--v", log),
            (&self.stderrthreshold, "--stderrthreshold", log),
            (&self.logtostderr, "--logtostderr", log),
            (&self.alsologtostderr, "--alsologtostderr", log),
        ];
        let given = flags.into_iter().filter(|(value, ..)| value.is_some());
        given.map(|(_, flag, why)| (flag, why)).collect()
    }
}
