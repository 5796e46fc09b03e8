//! Flags of Cluster Autoscaler that change nothing here.

use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

const CHANGES: &str = "a node that stays is looked at again when what keeps it changes";
const ALL_NODES: &str = "all nodes are looked at in each pass";
const ALL_GROUPS: &str = "all node groups are packed exactly in each pass";
const ONE_PASS: &str = "a pass orders in all node groups that help, and the next follows at once";
const CSI: &str = "the volumes of CSI drivers always count";
const LOG: &str = "the log goes to standard error, and -v or RUST_LOG set its level";
const SNAPSHOT: &str = "`flyball why` and the HTTP interface say what was decided";

/// Each flag with the reason why it has no effect.
const FLAGS: [(&str, &str); 23] = [
    ("alsologtostderr", LOG),
    ("cluster-snapshot-parallelism", ALL_NODES),
    ("debugging-snapshot-enabled", SNAPSHOT),
    ("enable-csi-node-aware-scheduling", CSI),
    ("estimator", ALL_GROUPS),
    ("fastpath-binpacking-enabled", ALL_GROUPS),
    ("frequent-loops-enabled", ONE_PASS),
    ("logtostderr", LOG),
    ("max-binpacking-time", ALL_GROUPS),
    ("max-nodegroup-binpacking-duration", ALL_GROUPS),
    ("node-info-cache-expire-time", CHANGES),
    ("parallel-scale-up", ONE_PASS),
    ("predicate-parallelism", ALL_NODES),
    ("salvo-scale-up", ONE_PASS),
    ("salvo-scale-up-budget", ONE_PASS),
    ("scale-down-candidates-pool-min-count", ALL_NODES),
    ("scale-down-candidates-pool-ratio", ALL_NODES),
    ("scale-down-non-empty-candidates-count", ALL_NODES),
    ("scale-down-simulation-timeout", ALL_NODES),
    (
        "scaleup-simulation-for-skipped-node-groups-enabled",
        ALL_GROUPS,
    ),
    ("stderrthreshold", LOG),
    ("unremovable-node-recheck-timeout", CHANGES),
    ("v", LOG),
];

/// Flags of Cluster Autoscaler that have no meaning here. They are accepted, so that its
/// command line can be kept.
#[derive(Debug, Clone)]
pub struct WithoutEffect {
    /// The flags that were given, each with the reason why it has no effect.
    pub given: Vec<(&'static str, &'static str)>,
}

impl Args for WithoutEffect {
    fn augment_args(command: Command) -> Command {
        // A flag may have no value (`--alsologtostderr`), or one after `=` or a space.
        let flag = |(flag, _)| Arg::new(flag).long(flag).hide(true).num_args(0..=1);
        command.args(FLAGS.map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for WithoutEffect {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let is_given = |(flag, _): &(&str, _)| matches.value_source(flag).is_some();
        let given = FLAGS.into_iter().filter(is_given).collect();
        Ok(Self { given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
