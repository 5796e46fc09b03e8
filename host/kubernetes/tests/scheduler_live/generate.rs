//! Small clusters, and pods to place there, generated from a seed.

use flyball_decision::hash::{SPLIT_MIX_STEP, split_mix};
use serde_json::{Map, Value, json};

use crate::pods::{Peers, pod};

/// Namespaces of the pods, with their labels.
pub const NAMESPACES: [(&str, &str); 3] = [
    ("blue", r#"{ "team": "blue", "stage": "test" }"#),
    ("green", r#"{ "team": "green" }"#),
    ("plain", "{}"),
];

/// Annotation that stops kwok from acting as kubelet: pods don't start, and deleted
/// pods don't end.
pub fn no_kubelet() -> Value {
    json!({ "kwok.x-k8s.io/status": "custom" })
}

/// A random number generator with a seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64, round: usize) -> Self {
        let mut random = Self(seed);
        random.0 ^= random.next().wrapping_mul(round as u64 + 1);
        random
    }

    fn next(&mut self) -> u64 {
        let number = split_mix(self.0);
        self.0 = self.0.wrapping_add(SPLIT_MIX_STEP);
        number
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Returns true with probability 1/`times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Requirements that pods of a cluster may have, besides cpu and memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Extended resources and ephemeral storage.
    Devices,
    /// Init containers and sidecars.
    InitContainers,
    /// Overhead, and resources of the whole pod.
    WholePod,
    Taints,
    /// Nodes that are unschedulable.
    Cordons,
    NodeSelector,
    NodeAffinity,
    /// Node affinity by name.
    NodeNames,
    HostPorts,
    PodAffinity,
    PodAntiAffinity,
    Spread,
    Gates,
}

impl Theme {
    /// Complex themes are drawn more often.
    const DRAWN: [Self; 17] = [
        Self::Devices,
        Self::InitContainers,
        Self::WholePod,
        Self::Taints,
        Self::Cordons,
        Self::NodeSelector,
        Self::NodeAffinity,
        Self::NodeNames,
        Self::HostPorts,
        Self::PodAffinity,
        Self::PodAffinity,
        Self::PodAntiAffinity,
        Self::PodAntiAffinity,
        Self::Spread,
        Self::Spread,
        Self::Spread,
        Self::Gates,
    ];
}

/// State of a pod that is bound from the beginning.
#[derive(Clone, Copy)]
pub enum Fate {
    Stays,
    /// It is being deleted.
    Terminates,
    Succeeds,
}

/// A cluster, and pods that are created one after another.
pub struct Scenario {
    pub nodes: Vec<Value>,
    pub bound: Vec<(Value, Fate)>,
    pub pending: Vec<Value>,
}

impl Scenario {
    pub fn draw(random: &mut Random, round: usize) -> Self {
        let themes: Vec<Theme> = (0..=random.below(4))
            .map(|_| random.pick(&Theme::DRAWN))
            .collect();
        let names: Vec<String> = (0..2 + random.below(4))
            .map(|at| format!("node-{round}-{at}"))
            .collect();
        let nodes = names.iter().map(|name| node(random, name, &themes));
        let nodes = nodes.collect();
        let peers = Peers {
            themes: &themes,
            nodes: &names,
        };
        let bound = (0..random.below(9)).map(|at| {
            let mut pod = pod(random, &format!("bound-{at}"), &peers);
            bind(&mut pod, &names[random.below(names.len())]);
            let fate = match random.below(10) {
                0 => Fate::Succeeds,
                1 | 2 => Fate::Terminates,
                _ => Fate::Stays,
            };
            (pod, fate)
        });
        let mut bound: Vec<_> = bound.collect();
        keep_shared_ports(&mut bound);
        let pending = (0..4 + random.below(3)).map(|at| {
            let mut pod = pod(random, &format!("pending-{at}"), &peers);
            if random.once_in(6) {
                let only = &names[random.below(names.len())];
                pod["spec"]["nodeSelector"]["kubernetes.io/hostname"] = json!(only);
            }
            pod
        });
        let pending = pending.collect();
        Self {
            nodes,
            bound,
            pending,
        }
    }
}

/// Binds a pod without the scheduler. It must tolerate taints that would evict it.
fn bind(pod: &mut Value, node: &str) {
    let spec = &mut pod["spec"];
    spec["nodeName"] = json!(node);
    spec["schedulingGates"] = json!([]);
    spec["tolerations"] = json!([{ "operator": "Exists" }]);
}

/// Keeps pods running that share a host port on one node, which the scheduler itself
/// never allows: when one of them ends, it would treat the port as free.
fn keep_shared_ports(bound: &mut [(Value, Fate)]) {
    let taking = |(pod, _): &(Value, Fate)| {
        let containers = ["containers", "initContainers"].map(|kind| pod["spec"][kind].as_array());
        let mut containers = containers.into_iter().flatten().flatten();
        containers.any(|container| container["ports"].is_array())
    };
    let nodes: Vec<Value> = bound
        .iter()
        .filter(|pod| taking(pod))
        .map(|(pod, _)| pod["spec"]["nodeName"].clone())
        .collect();
    for pod in bound.iter_mut().filter(|pod| taking(pod)) {
        let node = &pod.0["spec"]["nodeName"];
        let shared = nodes.iter().filter(|other| *other == node).count() > 1;
        if shared && matches!(pod.1, Fate::Succeeds) {
            pod.1 = Fate::Stays;
        }
    }
}

fn node(random: &mut Random, name: &str, themes: &[Theme]) -> Value {
    let mut labels = Map::new();
    labels.insert("kubernetes.io/hostname".to_owned(), json!(name));
    for (key, values) in [
        (
            "topology.kubernetes.io/zone",
            &["east", "west", "north"][..],
        ),
        ("disk", &["ssd", "hdd"]),
        ("cores", &["4", "8", "007", "many"]),
    ] {
        if !random.once_in(6) {
            labels.insert(key.to_owned(), json!(random.pick(values)));
        }
    }
    let mut amounts = json!({
        "cpu": random.pick(&["1", "1500m", "2", "4"]),
        "memory": random.pick(&["1Gi", "1500M", "4Gi"]),
        "pods": random.pick(&["3", "6", "20", "20"]),
    });
    if themes.contains(&Theme::Devices) {
        amounts["ephemeral-storage"] = json!(random.pick(&["1Gi", "3Gi"]));
        if !random.once_in(3) {
            amounts["example.com/device"] = json!(random.pick(&["0", "1", "4"]));
        }
    }
    let unschedulable = themes.contains(&Theme::Cordons) && random.once_in(2);
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": labels, "annotations": no_kubelet() },
        "spec": {
            "unschedulable": unschedulable,
            "taints": taints(random, themes, unschedulable),
        },
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

/// Returns the taints of a node. Includes that of an unschedulable node, which the
/// control plane would otherwise add shortly after.
fn taints(random: &mut Random, themes: &[Theme], unschedulable: bool) -> Vec<Value> {
    let mut taints = Vec::new();
    if unschedulable {
        taints.push(json!({ "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" }));
    }
    if themes.contains(&Theme::Taints) {
        for key in ["dedicated", "special"] {
            if random.once_in(2) {
                let effect = random.pick(&["NoSchedule", "NoExecute", "PreferNoSchedule"]);
                let value = random.pick(&["a", "b"]);
                taints.push(json!({ "key": key, "value": value, "effect": effect }));
            }
        }
    }
    taints
}
