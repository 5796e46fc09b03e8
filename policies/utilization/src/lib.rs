//! The built-in policy `utilization`: nodes may leave whose pods request little of what the
//! nodes have, as Cluster Autoscaler has it. Utilization is the larger of cpu and memory;
//! nodes for GPUs go by GPUs alone.

use std::cmp::Ordering;

use flyball_policy::{Group, JudgedNode, NodeVerdict, NodeVerdicts, ScaleDownNodes};
use schemars::JsonSchema;
use serde::Deserialize;

/// Thresholds and order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// A node with a lower utilization may leave, from 0 to 1. A group's own threshold
    /// comes before it.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f64,
    /// The same for nodes with GPUs.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gpu_threshold: f64,
    /// Threshold of cpu alone. With it or `memoryThreshold`, a node may leave whose cpu
    /// and whose memory each lie below their threshold, whatever thresholds groups have.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub cpu_threshold: Option<f64>,
    /// Threshold of memory alone.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub memory_threshold: Option<f64>,
    /// Whether pods of DaemonSets are left out. A group's own setting comes before it.
    pub ignore_daemon_sets: bool,
    /// Whether mirror pods are left out.
    pub ignore_mirror_pods: bool,
    /// Which node leaves first. Without it the host's order is kept.
    pub order: Option<Order>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            gpu_threshold: 0.5,
            cpu_threshold: None,
            memory_threshold: None,
            ignore_daemon_sets: false,
            ignore_mirror_pods: false,
            order: None,
        }
    }
}

/// Which node leaves first.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The one with the lowest utilization.
    Emptiest,
    /// The one that was created first.
    Oldest,
    /// The one whose pods cost least to move.
    CheapestToMove,
}

flyball_policy::scale_down_policy! {
    summary: "Nodes may leave whose pods request little of them",
    config: Config,
    judge_nodes: judge,
}

/// Judges each node by its utilization.
pub fn judge(input: &ScaleDownNodes<Config>) -> NodeVerdicts {
    let config = input.config();
    NodeVerdicts::each(input, |node| {
        let verdict = match Utilization::of(config, node) {
            Ok(used) => used.verdict(config, node),
            Err(resource) => NodeVerdict::must_stay().because(
                "UnexpectedError",
                format!("its allocatable {resource} is missing or 0"),
            ),
        };
        verdict.score(score(config, node))
    })
}

fn score(config: &Config, node: JudgedNode<'_>) -> f64 {
    match config.order {
        None => 0.0,
        Some(Order::Emptiest) => Utilization::of(config, node).map_or(0.0, |used| used.largest().1),
        // Nodes of unknown age come last.
        Some(Order::Oldest) => node.created().map_or(f64::MAX, |at| at.ms() as f64),
        Some(Order::CheapestToMove) => node.cost(),
    }
}

/// Shares of what a node has that its pods request.
enum Utilization {
    /// Of a node for GPUs.
    Gpu(f64),
    /// Of any other node.
    Other { cpu: f64, memory: f64 },
}

impl Utilization {
    /// Computes the utilization of a node.
    ///
    /// # Errors
    /// The resource that the node has none of.
    fn of(config: &Config, node: JudgedNode<'_>) -> Result<Self, &'static str> {
        let (all, requested) = (node.allocatable(), node.requested());
        let group = node.group().and_then(Group::ignore_daemon_sets);
        let mut left_out = Vec::new();
        if group.unwrap_or(config.ignore_daemon_sets) {
            left_out.push(node.requested_by_daemon_sets());
        }
        if config.ignore_mirror_pods {
            left_out.push(node.requested_by_mirror_pods());
        }
        if node.is_for_gpus() {
            let ignored = left_out.iter().map(|part| part.gpu_milli).sum();
            // A node whose GPUs are not ready yet, or no longer, must not stay for ever.
            let used = share(requested.gpu_milli, all.gpu_milli, ignored);
            return Ok(Self::Gpu(used.unwrap_or(0.0)));
        }
        let ignored = left_out.iter().map(|part| part.cpu_milli).sum();
        let cpu = share(requested.cpu_milli, all.cpu_milli, ignored).ok_or("cpu")?;
        let ignored = left_out.iter().map(|part| part.memory_bytes).sum();
        let memory = share(requested.memory_bytes, all.memory_bytes, ignored).ok_or("memory")?;
        Ok(Self::Other { cpu, memory })
    }

    /// Returns the resource that counts, and its share. Memory counts if both are equal.
    fn largest(&self) -> (&'static str, f64) {
        match *self {
            Self::Gpu(used) => ("GPU", used),
            Self::Other { cpu, memory } => match cpu.total_cmp(&memory) {
                Ordering::Greater => ("cpu", cpu),
                _ => ("memory", memory),
            },
        }
    }

    fn verdict(&self, config: &Config, node: JudgedNode<'_>) -> NodeVerdict {
        let over = match *self {
            Self::Gpu(used) => {
                let own = node.group().and_then(Group::gpu_utilization_threshold);
                over("GPU", used, own.unwrap_or(config.gpu_threshold))
            }
            Self::Other { cpu, memory } => match (config.cpu_threshold, config.memory_threshold) {
                (None, None) => {
                    let own = node.group().and_then(Group::utilization_threshold);
                    let (resource, used) = self.largest();
                    over(resource, used, own.unwrap_or(config.threshold))
                }
                (for_cpu, for_memory) => {
                    let cpu = over("cpu", cpu, for_cpu.unwrap_or(config.threshold));
                    let memory = || over("memory", memory, for_memory.unwrap_or(config.threshold));
                    cpu.or_else(memory)
                }
            },
        };
        match over {
            Some(sentence) => NodeVerdict::must_stay().because("NotUnderutilized", sentence),
            None => NodeVerdict::may_go().because("Underutilized", "its pods request little of it"),
        }
    }
}

/// Returns why a node stays. `None` if it may go.
fn over(resource: &str, used: f64, threshold: f64) -> Option<String> {
    // Whole percents, so that nodes share their reasons. As integers, since a float takes
    // much of a row's fuel to write.
    let percent = |share: f64| (share * 100.0).round_ties_even() as i64;
    (used > threshold).then(|| {
        format!(
            "its pods request {}% of its {resource}, more than {}%",
            percent(used),
            percent(threshold)
        )
    })
}

/// Returns the share of what is left of `allocatable` without what is left out. `None` if
/// the node has none of the resource.
///
/// What is left out is no use, and takes no room either, so that a node with nothing else
/// is empty.
fn share(requested: i64, allocatable: i64, left_out: i64) -> Option<f64> {
    if allocatable <= 0 {
        return None;
    }
    let used = requested.saturating_sub(left_out);
    let room = allocatable.saturating_sub(left_out);
    if used <= 0 {
        return Some(0.0);
    }
    Some(used as f64 / room as f64)
}

#[cfg(test)]
mod tests {
    use flyball_policy::{GroupSpec, Resources, ScaleDownNodeSpec, ScaleDownNodes, Time};

    use super::{Config, Order, judge};

    const NONE: Resources = Resources::of(0, 0);

    /// A node of 4 cores and 16 GiB whose pods request so much.
    fn node(cores: i64, gib: i64) -> ScaleDownNodeSpec {
        ScaleDownNodeSpec::of("own").requested(Resources::of(cores, gib), NONE, NONE)
    }

    fn verdicts(config: &Config, nodes: &[ScaleDownNodeSpec]) -> flyball_policy::NodeVerdicts {
        let build = ScaleDownNodes::build().config(config.clone());
        let build = build.group(GroupSpec::named("own").utilization_threshold(0.25));
        let build = nodes
            .iter()
            .fold(build, |build, node| build.node(node.clone()));
        build.check_rows(judge);
        judge(&build.done())
    }

    #[test]
    fn a_threshold_is_the_groups_own_else_that_of_the_configuration() {
        let without = |cores, gib| {
            ScaleDownNodeSpec::default().requested(Resources::of(cores, gib), NONE, NONE)
        };
        let nodes = [node(1, 4), node(2, 0), without(2, 8), without(0, 9)];
        let found = verdicts(&Config::default(), &nodes);
        let goes: Vec<_> = (0..4).map(|row| found.may_go(row)).collect();
        assert_eq!(goes, [true, false, true, false]);
        assert_eq!(found.code(3), Some("NotUnderutilized"));
        let words = "its pods request 56% of its memory, more than 50%";
        assert_eq!(found.sentence(3), Some(words));
        // Cpu and memory apart.
        let apart = Config {
            cpu_threshold: Some(0.6),
            memory_threshold: Some(0.1),
            ..Config::default()
        };
        let found = verdicts(&apart, &[node(2, 1), node(0, 4)]);
        assert!(found.may_go(0) && found.must_stay(1));
    }

    #[test]
    fn gpus_alone_count_where_there_are_some_and_what_is_missing_is_an_error() {
        let gpus = |all, used| {
            let has = Resources::of(4, 16).with_gpus(all);
            let uses = Resources::of(4, 16).with_gpus(used);
            let node = ScaleDownNodeSpec::default().for_gpus();
            node.allocatable(has).requested(uses, NONE, NONE)
        };
        let nothing = ScaleDownNodeSpec::default().allocatable(NONE);
        let nodes = [gpus(4, 1), gpus(4, 3), gpus(0, 0), nothing];
        let found = verdicts(&Config::default(), &nodes);
        let goes: Vec<_> = (0..4).map(|row| found.may_go(row)).collect();
        assert_eq!(goes, [true, false, true, false]);
        assert_eq!(found.code(3), Some("UnexpectedError"));
    }

    #[test]
    fn pods_that_are_left_out_take_no_room_either() {
        let all = Resources::of(3, 0);
        let node = ScaleDownNodeSpec::default().requested(all, Resources::of(2, 0), NONE);
        assert!(verdicts(&Config::default(), std::slice::from_ref(&node)).must_stay(0));
        let ignoring = Config {
            ignore_daemon_sets: true,
            order: Some(Order::Emptiest),
            ..Config::default()
        };
        let found = verdicts(&ignoring, &[node]);
        assert_eq!((found.may_go(0), found.score(0)), (true, Some(0.5)));
    }

    #[test]
    fn nodes_leave_in_the_order_that_is_set() {
        let young = node(0, 1).created(Some(Time::from_ms(5))).pods(1, 7.0);
        let old = node(1, 4).pods(2, 9.0);
        let scores = |order| {
            let config = Config {
                order,
                ..Config::default()
            };
            let found = verdicts(&config, &[young.clone(), old.clone()]);
            [0, 1].map(|row| found.score(row))
        };
        assert_eq!(scores(None), [Some(0.0); 2]);
        assert_eq!(scores(Some(Order::Emptiest)), [Some(0.0625), Some(0.25)]);
        assert_eq!(scores(Some(Order::Oldest)), [Some(5.0), Some(0.0)]);
        assert_eq!(scores(Some(Order::CheapestToMove)), [Some(7.0), Some(9.0)]);
    }
}
