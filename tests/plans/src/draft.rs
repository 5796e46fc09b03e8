//! Small random clusters.

mod draw;
mod show;

use std::sync::Arc;

use flyball_placement::{
    AffinityTerm, LabelSelector, Pod, Requirement, Resources, SpreadConstraint, Toleration,
    TolerationOperator,
};

pub use self::draw::draft;
use crate::shapes::{HOSTNAME, Kind, REVISION, ZONE};
use crate::world::{World, owner};

const GIB: i64 = 1 << 30;
const MIB: i64 = 1 << 20;

/// Cores and GiB of nodes.
const SIZES: [(i64, i64); 4] = [(4, 16), (2, 8), (8, 32), (8, 16)];

/// Maximum numbers of nodes by which a group may grow.
const ROOMS: [u32; 6] = [100, 100, 100, 8, 3, 1];

const CPU: [i64; 5] = [500, 100, 250, 1000, 1800];
const MEMORY: [i64; 4] = [512, 128, 1024, 3072];
const TAINT: &str = "dedicated";

/// A small cluster with waiting pods.
#[derive(Clone, Debug)]
pub struct Draft {
    zones: u8,
    kinds: Vec<KindDraft>,
    nodes: Vec<NodeDraft>,
    workloads: Vec<Workload>,
}

/// Nodes of a size, with a group in some of the zones.
#[derive(Clone, Debug)]
struct KindDraft {
    size: usize,
    /// The zones as a bit set.
    zones: u8,
    room: usize,
    tainted: bool,
}

/// An existing node.
#[derive(Clone, Debug)]
struct NodeDraft {
    kind: usize,
    zone: u8,
    /// The part of it that other pods use, in tenths.
    full: i64,
}

/// Pods of one workload.
#[derive(Clone, Debug)]
struct Workload {
    cpu: usize,
    memory: usize,
    waiting: u32,
    /// Nodes that its running pods are on, as far as they fit.
    running: Vec<usize>,
    wish: Wish,
    /// The only zone that it may run in.
    zone: Option<u8>,
    tolerates: bool,
    first: bool,
}

/// What a pod's placement depends on, besides its requests.
#[derive(Clone, Debug)]
enum Wish {
    Nothing,
    Spread(Option<ZoneSpread>, Option<i32>),
    /// Affinity in the zone to pods of a workload: its own, or another one's running
    /// pods.
    Near(usize),
    /// Anti-affinity to them in the zone.
    Apart(usize),
    /// Anti-affinity to its own pods on the host.
    Alone,
}

#[derive(Clone, Debug)]
struct ZoneSpread {
    max_skew: i32,
    /// 1 if it is not set.
    min_domains: i32,
    /// Only pods of the same revision count (matchLabelKeys).
    by_revision: bool,
}

impl Draft {
    /// Builds the cluster. `node` is the prefix of its nodes' names.
    #[must_use]
    pub fn world(&self, node: &str) -> World {
        let mut world = World::default();
        let mut free = self.add_nodes(&mut world, node);
        for number in 0..self.workloads.len() {
            self.add_workload(&mut world, number, &mut free);
        }
        world
    }

    /// Adds groups, and nodes with other workloads' pods, and returns the free resources
    /// of each node.
    fn add_nodes(&self, world: &mut World, prefix: &str) -> Vec<Resources> {
        let mut free = Vec::new();
        let mut names = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let (number, zone) = (node.kind % self.kinds.len(), node.zone % self.zones);
            let kind = self.kinds[number].kind(number);
            let name = format!("{prefix}-{at}");
            world.nodes.push(kind.node(&name, &zone_name(zone)));
            let mut left = kind.allocatable.clone();
            if node.full > 0 {
                let tolerant = self.kinds[number].tainted;
                let requests = Resources {
                    cpu: left.cpu * node.full / 10,
                    memory: left.memory * node.full / 10,
                    ..Resources::default()
                };
                take(&mut left, &requests);
                let pod = plain_pod("other", requests, tolerant);
                let owner = owner("ReplicaSet", "other");
                world.run(&format!("other-{at}"), &name, owner, pod);
            }
            free.push(left);
            names.push((number, zone, name));
        }
        for (number, draft) in self.kinds.iter().enumerate() {
            for zone in (0..self.zones).filter(|zone| draft.is_in(*zone, self.zones)) {
                let own = names
                    .iter()
                    .filter(|name| (name.0, name.1) == (number, zone));
                let own: Vec<String> = own.map(|name| name.2.clone()).collect();
                let (kind, zone) = (draft.kind(number), zone_name(zone));
                let room = ROOMS[draft.room];
                let name = format!("{}-{zone}", kind.name);
                world.group(&name, (&kind, &zone), &own, room, None);
            }
        }
        free
    }

    fn add_workload(&self, world: &mut World, number: usize, free: &mut [Resources]) {
        let workload = &self.workloads[number];
        let app = app_name(number);
        let pod = |revision: &str| self.pod(number, revision);
        for (at, node) in workload.running.iter().enumerate() {
            let Some(left) = free.get_mut(*node) else {
                continue;
            };
            let pod = pod("1");
            let taken = (pod.requests.cpu > left.cpu) || (pod.requests.memory > left.memory);
            let kind = &self.kinds[self.nodes[*node].kind % self.kinds.len()];
            if taken || kind.tainted && !workload.tolerates {
                continue;
            }
            take(left, &pod.requests);
            let (name, owner) = (format!("{app}-old-{at}"), owner("ReplicaSet", &app));
            let node = Arc::clone(&world.nodes[*node].node.name);
            world.run(&name, &node, owner, pod);
        }
        for at in 0..workload.waiting {
            let (name, owner) = (format!("{app}-new-{at}"), owner("ReplicaSet", &app));
            world.wait(&name, owner, pod("2"));
        }
    }

    fn pod(&self, number: usize, revision: &str) -> Pod {
        let workload = &self.workloads[number];
        let app = app_name(number);
        let requests = Resources {
            cpu: CPU[workload.cpu],
            memory: MEMORY[workload.memory] * MIB,
            ..Resources::default()
        };
        let mut pod = plain_pod(&app, requests, workload.tolerates);
        pod.labels.set(REVISION.into(), revision.into());
        pod.priority = if workload.first { 1000 } else { 0 };
        if let Some(zone) = workload.zone {
            let zone = zone_name(zone % self.zones);
            pod.node_selector.set(ZONE.into(), zone.into());
        }
        // Of other workloads only the running pods count: of two waiting pods with
        // anti-affinity, the first one placed decides where the other may go.
        let over_zones = |other: usize| {
            let other = other % self.workloads.len();
            let mut term = term(&app_name(other), ZONE);
            if other != number
                && let Some(selector) = &mut term.selector
            {
                selector.0.push(Requirement::equals(REVISION, "1"));
            }
            vec![term]
        };
        match &workload.wish {
            Wish::Nothing => {}
            Wish::Spread(zones, hosts) => {
                let zones = zones.iter().map(|zones| zones.constraint(&app, revision));
                let hosts = hosts.iter().map(|skew| spread(&app, HOSTNAME, *skew));
                pod.spread = zones.chain(hosts).collect();
            }
            Wish::Near(other) => pod.affinity = over_zones(*other),
            Wish::Apart(other) => pod.anti_affinity = over_zones(*other),
            Wish::Alone => pod.anti_affinity = vec![term(&app, HOSTNAME)],
        }
        pod
    }
}

impl KindDraft {
    fn is_in(&self, zone: u8, zones: u8) -> bool {
        let mask = self.zones & ((1 << zones) - 1);
        // In at least one.
        mask.max(1) & (1 << zone) != 0
    }

    fn kind(&self, number: usize) -> Kind {
        let (cores, gib) = SIZES[self.size];
        let capacity = Resources {
            cpu: cores * 1000,
            memory: gib * GIB,
            pods: 110,
            ..Resources::default()
        };
        Kind {
            name: format!("k{number}"),
            allocatable: capacity.clone(),
            capacity,
            taint: self.tainted.then_some(TAINT),
        }
    }
}

impl ZoneSpread {
    fn constraint(&self, app: &str, revision: &str) -> SpreadConstraint {
        let mut constraint = spread(app, ZONE, self.max_skew);
        constraint.min_domains = self.min_domains;
        if self.by_revision
            && let Some(selector) = &mut constraint.selector
        {
            selector.0.push(Requirement::equals(REVISION, revision));
        }
        constraint
    }
}

fn take(free: &mut Resources, requests: &Resources) {
    free.cpu -= requests.cpu;
    free.memory -= requests.memory;
}

fn zone_name(zone: u8) -> String {
    let letter = char::from(b'a' + zone);
    format!("zone-{letter}")
}

fn app_name(number: usize) -> String {
    format!("w{number}")
}

fn plain_pod(app: &str, requests: Resources, tolerant: bool) -> Pod {
    let toleration = Toleration {
        key: TAINT.into(),
        operator: TolerationOperator::Exists,
        ..Toleration::default()
    };
    Pod {
        namespace: "default".into(),
        labels: [("app", app)].into_iter().collect(),
        requests,
        tolerations: tolerant.then_some(toleration).into_iter().collect(),
        ..Pod::default()
    }
}

fn selector(app: &str) -> Option<LabelSelector> {
    Some(LabelSelector(vec![Requirement::equals("app", app)]))
}

fn spread(app: &str, topology_key: &str, max_skew: i32) -> SpreadConstraint {
    SpreadConstraint {
        max_skew,
        topology_key: topology_key.into(),
        selector: selector(app),
        min_domains: 1,
        honor_affinity: true,
        honor_taints: false,
    }
}

fn term(app: &str, topology_key: &str) -> AffinityTerm {
    AffinityTerm {
        topology_key: topology_key.into(),
        selector: selector(app),
        namespaces: vec!["default".into()],
        namespace_selector: None,
    }
}
