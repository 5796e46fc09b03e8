//! `nodes/mixed-20000`: the mix of Karpenter's scheduling benchmark, a fifth each:
//! generic pods, pods spread over zones, pods spread over hosts, pods with affinity to
//! each other in their zone, and pods with anti-affinity to each other on their host. 400
//! instance types in three zones are 1,200 node groups.

use std::sync::Arc;

use flyball_kubernetes::slim::PodObject;
use flyball_nodes::cloud::{NodeGroup, NodeTemplate};
use flyball_nodes::record::Order;
use serde_json::{Value, json};

use crate::shapes::{HOSTNAME, ZONE, group, pod, pods, running, size};

pub const PODS: usize = 20_000;
pub const TYPES: i64 = 400;
pub const ZONES: [&str; 3] = ["zone-1", "zone-2", "zone-3"];

const MIB: i64 = 1 << 20;
const CPU: [i64; 5] = [100, 250, 500, 1000, 1500];
const MEMORY: [i64; 6] = [100, 256, 512, 1024, 2048, 4096];
const LABELS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// Sums of the pods' requests, cpu in milli and memory in bytes, and the pods.
pub struct Mix {
    pub pods: Vec<PodObject>,
    pub cpu: i64,
    pub memory: i64,
}

/// Draws the pods: always the same.
pub fn mix() -> anyhow::Result<Mix> {
    let (objects, cpu, memory) = objects();
    Ok(Mix {
        pods: pods(objects.into_iter())?,
        cpu,
        memory,
    })
}

/// Returns the pods as the API server sends them, and the sums of their requests.
pub fn objects() -> (Vec<Value>, i64, i64) {
    let mut chance = Chance(42);
    let (mut cpu, mut memory) = (0, 0);
    let mut objects = Vec::with_capacity(PODS);
    for row in 0..PODS {
        let (milli, bytes) = (chance.of(&CPU), chance.of(&MEMORY) * MIB);
        cpu += milli;
        memory += bytes;
        let requests = json!({ "cpu": format!("{milli}m"), "memory": bytes.to_string() });
        let mut pod = pod(&format!("mixed-{row}"), None, &requests);
        ask(&mut pod, row / (PODS / 5), &mut chance);
        objects.push(pod);
    }
    (objects, cpu, memory)
}

/// Returns a running pod that selects one host, so that the hostname label counts from
/// then on.
pub fn pinned() -> anyhow::Result<Vec<PodObject>> {
    let mut pinned = running(pod("pinned", None, &json!({ "cpu": "10m" })), "elsewhere");
    pinned["spec"]["nodeSelector"] = json!({ HOSTNAME: "elsewhere" });
    pods(std::iter::once(pinned))
}

fn ask(pod: &mut Value, fifth: usize, chance: &mut Chance) {
    let term = |labels: &Value, key: &str| {
        json!({ "requiredDuringSchedulingIgnoredDuringExecution": [
            { "labelSelector": { "matchLabels": labels }, "topologyKey": key },
        ] })
    };
    let random = |chance: &mut Chance| json!({ "my-label": chance.of(&LABELS) });
    match fifth {
        0 => pod["metadata"]["labels"] = random(chance),
        1 | 2 => {
            pod["metadata"]["labels"] = random(chance);
            pod["spec"]["topologySpreadConstraints"] = json!([{
                "maxSkew": 1,
                "topologyKey": if fifth == 1 { ZONE } else { HOSTNAME },
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": { "matchLabels": random(chance) },
            }]);
        }
        3 => {
            let labels = json!({ "my-affinity": chance.of(&LABELS) });
            pod["spec"]["affinity"]["podAffinity"] = term(&labels, ZONE);
            pod["metadata"]["labels"] = labels;
        }
        _ => {
            let labels = json!({ "app": "nginx" });
            pod["spec"]["affinity"]["podAntiAffinity"] = term(&labels, HOSTNAME);
            pod["metadata"]["labels"] = labels;
        }
    }
}

/// Returns the node groups: type `i` has `i` cores, twice as many GiB and ten times as
/// many pods, of which the node reserves 100m and 10 MiB.
pub fn groups() -> Vec<Arc<NodeGroup>> {
    let types = (1..=TYPES).flat_map(|cores| ZONES.map(|zone| (cores, zone)));
    types.map(|(cores, zone)| typed(cores, zone)).collect()
}

fn typed(cores: i64, zone: &str) -> Arc<NodeGroup> {
    let (cpu, memory) = (cores * 1000, cores * 2048 * MIB);
    let name = format!("type-{cores:03}-{zone}");
    let labels = [
        ("node.kubernetes.io/instance-type", format!("type-{cores}")),
        (ZONE, zone.to_owned()),
    ];
    let template = NodeTemplate {
        labels: labels.map(|(key, value)| (key.into(), value.into())).into(),
        capacity: size(cpu, memory, cores * 10),
        allocatable: size(cpu - 100, memory - 10 * MIB, cores * 10),
        ..NodeTemplate::default()
    };
    group(&name, template, price(cpu, memory), &[])
}

/// Returns the relative difference between the zones with the fewest and the most nodes,
/// in percent.
pub fn difference_of_zones(orders: &[Order]) -> f64 {
    let nodes = ZONES.map(|zone| {
        let of_zone = orders.iter().filter(|order| order.group.ends_with(zone));
        of_zone.map(|order| order.to - order.from).sum::<u32>()
    });
    let most = nodes.iter().copied().max().unwrap_or_default();
    let fewest = nodes.iter().copied().min().unwrap_or_default();
    f64::from(most - fewest) / f64::from(most.max(1)) * 100.0
}

/// Returns the price per hour of this much cpu (in milli) and memory (in bytes), as in
/// the benchmark.
pub fn price(cpu: i64, memory: i64) -> f64 {
    0.1 * cpu as f64 / 1e3 + 0.1 * memory as f64 / 1e9
}

/// A small generator (xorshift), so that the pods don't depend on a library.
struct Chance(u64);

impl Chance {
    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        values[(self.0 >> 33) as usize % values.len()]
    }
}
