//! A cluster like those in production: 500 nodes in three zones with random free room,
//! 3,000 pending pods of 60 workloads, and 12 node groups. A third of the workloads
//! spread over zones, a third over zones and hosts.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_nodes::state::DaemonSetFacts;
use flyball_placement::{
    LabelSelector, Pod, Requirement, Resources, SpreadConstraint, Toleration, TolerationOperator,
};

use crate::random::Random;
use crate::shapes::{HOSTNAME, Kind, ZONE};
use crate::world::{World, owner};

/// Number of waiting pods.
pub const PODS: usize = 3_000;
const NODES: usize = 500;
const WORKLOADS: usize = 60;
const SEED: u64 = 9;

const GIB: i64 = 1 << 30;
const MIB: i64 = 1 << 20;

/// The zones, with the full part of their nodes in percent.
const ZONES: [(&str, usize); 3] = [("zone-a", 90), ("zone-b", 75), ("zone-c", 55)];

/// Memory reserved for a node's kubelet and system, besides a part of its memory.
const RESERVED_CPU: i64 = 80;
const RESERVED_MEMORY: i64 = 600 * MIB;

const CPU: [i64; 6] = [100, 250, 500, 500, 1000, 2000];
/// Memory per core, in MiB.
const PER_CORE: [i64; 4] = [1024, 2048, 4096, 6144];

/// Kinds of node groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// Four sizes in each zone, from 4 to 32 cores.
    Different,
    /// Four families of 16 cores in each zone, with 2 to 8 GiB a core.
    Alike,
}

impl Sizes {
    /// Returns the kinds of nodes, with their prices.
    fn kinds(self) -> [(Kind, f64); 4] {
        match self {
            Self::Different => [
                kind("general.xlarge", 4, 16, 0.192),
                kind("general.2xlarge", 8, 32, 0.384),
                kind("general.4xlarge", 16, 64, 0.768),
                kind("general.8xlarge", 32, 128, 1.536),
            ],
            Self::Alike => [
                kind("compute.4xlarge", 16, 32, 0.68),
                kind("general.4xlarge", 16, 64, 0.768),
                kind("general-a.4xlarge", 16, 64, 0.691),
                kind("memory.4xlarge", 16, 128, 1.008),
            ],
        }
    }
}

fn kind(name: &str, cores: i64, gib: i64, price: f64) -> (Kind, f64) {
    let capacity = Resources {
        cpu: cores * 1000,
        memory: gib * GIB,
        pods: 110,
        ..Resources::default()
    };
    let allocatable = Resources {
        cpu: capacity.cpu - RESERVED_CPU,
        memory: capacity.memory / 100 * 96 - RESERVED_MEMORY,
        ..capacity.clone()
    };
    let kind = Kind {
        name: name.to_owned(),
        capacity,
        allocatable,
        taint: None,
    };
    (kind, price)
}

/// Returns the cluster: always the same.
#[must_use]
pub fn production(sizes: Sizes) -> World {
    let mut draw = Draw {
        random: Random::new(SEED),
        world: World::default(),
        nodes: Vec::new(),
    };
    draw.nodes(&sizes.kinds());
    draw.daemon_set();
    for number in 0..WORKLOADS {
        draw.workload(number);
    }
    draw.fill();
    draw.world
}

/// A node that is being filled.
struct Filling {
    name: String,
    zone: usize,
    whole: Resources,
    free: Resources,
    /// Workloads that have a pod on it.
    workloads: Vec<usize>,
}

impl Filling {
    fn has_room(&self, requests: &Resources) -> bool {
        let free = &self.free;
        free.cpu >= requests.cpu && free.memory >= requests.memory && free.pods > 0
    }

    fn take(&mut self, requests: &Resources) {
        self.free.cpu -= requests.cpu;
        self.free.memory -= requests.memory;
        self.free.pods -= 1;
    }
}

struct Draw {
    random: Random,
    world: World,
    nodes: Vec<Filling>,
}

impl Draw {
    /// Adds the nodes, in groups of a kind in a zone.
    fn nodes(&mut self, kinds: &[(Kind, f64); 4]) {
        let mut groups: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
        for number in 0..NODES {
            let (kind, zone) = (self.random.below(kinds.len()), self.random.below(3));
            let name = format!("node-{number:03}");
            let node = kinds[kind].0.node(&name, ZONES[zone].0);
            let whole = node.node.allocatable.clone();
            self.world.nodes.push(node);
            self.nodes.push(Filling {
                name: name.clone(),
                zone,
                free: whole.clone(),
                whole,
                workloads: Vec::new(),
            });
            groups.entry((kind, zone)).or_default().push(name);
        }
        for ((kind, zone), nodes) in groups {
            let ((kind, price), zone) = (&kinds[kind], ZONES[zone].0);
            let name = format!("{}-{zone}", kind.name);
            let most = 1000;
            self.world
                .group(&name, (kind, zone), &nodes, most, Some(*price));
        }
    }

    /// Adds a pod on each node.
    fn daemon_set(&mut self) {
        let everywhere = Toleration {
            operator: TolerationOperator::Exists,
            ..Toleration::default()
        };
        let pod = Pod {
            tolerations: vec![everywhere],
            ..pod("agent", 150, 200 * MIB)
        };
        let owner = owner("DaemonSet", "agent");
        self.world.daemon_sets.push(DaemonSetFacts {
            uid: Arc::clone(&owner.uid),
            key: ObjectKey {
                namespace: "default".into(),
                name: "agent".into(),
            },
            pod: Arc::new(pod.clone()),
        });
        for node in &mut self.nodes {
            node.take(&pod.requests);
            let name = format!("agent-{}", node.name);
            self.world
                .run(&name, &node.name, owner.clone(), pod.clone());
        }
    }

    /// Adds a workload: running pods, and waiting ones.
    fn workload(&mut self, number: usize) {
        let app = format!("web-{number:02}");
        let cpu = self.random.pick(&CPU);
        let memory = cpu * self.random.pick(&PER_CORE) / 1000 * MIB;
        let mut pod = pod(&app, cpu, memory);
        let skew = |random: &mut Random| if random.percent(75) { 1 } else { 2 };
        let third = number * 3 / WORKLOADS;
        if third < 2 {
            let zones = spread(&app, ZONE, skew(&mut self.random));
            pod.spread.push(zones);
        }
        if third == 1 {
            let hosts = spread(&app, HOSTNAME, skew(&mut self.random));
            pod.spread.push(hosts);
        }
        self.run_pods(number, &app, &pod);
        let rest = PODS / 3 - self.waiting_of_third(number);
        let of_third = WORKLOADS / 3;
        let left = of_third - number % of_third;
        // Random parts of the rest, which add up to the same sum for each third.
        let count = match left {
            1 => rest,
            left => self
                .random
                .between(rest / left / 3, rest * 5 / left / 3)
                .max(1),
        };
        for at in 0..count {
            let name = format!("{app}-new-{at}");
            self.world
                .wait(&name, owner("ReplicaSet", &app), pod.clone());
        }
    }

    /// Number of waiting pods of the earlier workloads of a third.
    fn waiting_of_third(&self, number: usize) -> usize {
        let third = number * 3 / WORKLOADS;
        self.world.pending.len() - third * (PODS / 3)
    }

    /// Adds the running pods of a workload: about the same number in each zone, on nodes
    /// with room, at most one on each if they spread over hosts.
    fn run_pods(&mut self, number: usize, app: &str, pod: &Pod) {
        let each = self.random.between(1, 12);
        let over_hosts = pod.spread.len() == 2;
        let mut at = 0;
        for zone in 0..ZONES.len() {
            // As after occasional losses of nodes: the skew is above the allowed one.
            let more = self.random.pick(&[0, 0, 0, 1, 1, 3]);
            let mut rows: Vec<usize> = (0..self.nodes.len()).collect();
            rows.retain(|&row| self.nodes[row].zone == zone);
            self.random.shuffle(&mut rows);
            let mut missing = each + more;
            for row in rows {
                let node = &mut self.nodes[row];
                if missing == 0 {
                    break;
                }
                if !node.has_room(&pod.requests) || over_hosts && node.workloads.contains(&number) {
                    continue;
                }
                node.take(&pod.requests);
                node.workloads.push(number);
                let (name, owner) = (format!("{app}-old-{at}"), owner("ReplicaSet", app));
                self.world.run(&name, &node.name, owner, pod.clone());
                at += 1;
                missing -= 1;
            }
        }
    }

    /// Adds other pods, until each node is as full as intended.
    fn fill(&mut self) {
        let mut at = 0;
        for row in 0..self.nodes.len() {
            let full = self.random.percent(ZONES[self.nodes[row].zone].1);
            let free: i64 = if full {
                2
            } else {
                self.random.between(5, 35) as i64
            };
            loop {
                let other = self.random.below(40);
                let cpu = CPU[other % CPU.len()];
                let memory = cpu * PER_CORE[other % PER_CORE.len()] / 1000 * MIB;
                let app = format!("other-{other:02}");
                let pod = pod(&app, cpu, memory);
                let node = &mut self.nodes[row];
                let after = (
                    node.free.cpu - pod.requests.cpu,
                    node.free.memory - pod.requests.memory,
                );
                let least = (node.whole.cpu * free / 100, node.whole.memory * free / 100);
                if after.0 < least.0 || after.1 < least.1 || node.free.pods == 0 {
                    break;
                }
                node.take(&pod.requests);
                let name = format!("{app}-{at}");
                self.world
                    .run(&name, &node.name, owner("ReplicaSet", &app), pod);
                at += 1;
            }
        }
    }
}

fn pod(app: &str, cpu: i64, memory: i64) -> Pod {
    Pod {
        namespace: "default".into(),
        labels: [("app", app)].into_iter().collect(),
        requests: Resources {
            cpu,
            memory,
            ..Resources::default()
        },
        ..Pod::default()
    }
}

fn spread(app: &str, topology_key: &str, max_skew: i32) -> SpreadConstraint {
    SpreadConstraint {
        max_skew,
        topology_key: topology_key.into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", app)])),
        min_domains: 1,
        honor_affinity: true,
        honor_taints: false,
    }
}
