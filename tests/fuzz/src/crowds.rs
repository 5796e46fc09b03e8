//! Crowds in which many objects select many others: any number, length and overlap of names,
//! labels, selectors, configurations, budgets and terms.

use serde_json::{Map, Value, json};

use crate::mutate::Random;
use crate::readers::{self, Read};

/// Maximum number of bytes of a crowd, but for its last objects.
const MAX_BYTES: usize = 1 << 20;

/// First byte of an input that makes autoscalers and pods instead of a cluster.
const AUTOSCALERS: u8 = b'a';

const TOPOLOGY_KEYS: [&str; 3] = ["kubernetes.io/hostname", "zone", "rack"];

/// What the names of one crowd have in common.
struct Names {
    /// Number of different keys, of values of a key, and of namespaces.
    keys: usize,
    values: usize,
    namespaces: usize,
    /// Length of each value.
    length: usize,
}

impl Names {
    fn of(random: &mut Random) -> Self {
        let most_values = [2, 20, 2_000][random.below(3)];
        Self {
            keys: 1 + random.below(12),
            values: 1 + random.below(most_values),
            namespaces: 1 + random.below(3),
            length: 1 + random.below(63),
        }
    }

    fn key(&self, random: &mut Random) -> String {
        format!("key-{}", random.below(self.keys))
    }

    fn value(&self, random: &mut Random) -> String {
        let number = random.below(self.values).to_string();
        format!("{number:v>width$}", width = self.length)
    }

    fn namespace(&self, random: &mut Random) -> String {
        format!("ns-{}", random.below(self.namespaces))
    }

    fn labels(&self, random: &mut Random) -> Value {
        let count = random.below(8);
        let labels = (0..count).map(|_| (self.key(random), json!(self.value(random))));
        Value::Object(labels.collect())
    }

    fn selector(&self, random: &mut Random) -> Value {
        let count = random.below(4);
        let requirement = |random: &mut Random| {
            let operator = ["In", "NotIn", "Exists", "DoesNotExist"][random.below(4)];
            let mut requirement = json!({ "key": self.key(random), "operator": operator });
            if operator.ends_with("In") {
                let values = (0..=random.below(3)).map(|_| self.value(random));
                requirement["values"] = values.collect();
            }
            requirement
        };
        let requirements: Vec<Value> = (0..count).map(|_| requirement(random)).collect();
        json!({ "matchLabels": {}, "matchExpressions": requirements })
    }

    /// A selector in text form.
    fn selector_text(&self, random: &mut Random) -> String {
        let requirement = |random: &mut Random| {
            let key = self.key(random);
            let most = [1, 3, 400][random.below(3)];
            let count = 1 + random.below(most);
            let values: Vec<String> = (0..count).map(|_| self.value(random)).collect();
            match random.below(4) {
                0 => format!("{key} notin ({})", values.join(",")),
                1 => format!("!{key}"),
                _ => format!("{key} in ({})", values.join(",")),
            }
        };
        let count = random.below(4);
        let requirements: Vec<String> = (0..count).map(|_| requirement(random)).collect();
        requirements.join(",")
    }
}

/// Returns what is made of an input, and by what it is read.
pub fn made(input: &[u8]) -> (Vec<u8>, Read) {
    match input.split_first() {
        Some((&AUTOSCALERS, rest)) => (autoscalers(rest), readers::crowd),
        _ => (cluster(input), readers::dumps),
    }
}

/// Inputs that make autoscalers of different numbers and sizes.
pub fn seeds() -> Vec<Vec<u8>> {
    let seed = |seed: u8| {
        let number = |at: u8| [seed.wrapping_mul(37).wrapping_add(11 * at), 0];
        let numbers: Vec<_> = (0..8).flat_map(number).collect();
        [&[AUTOSCALERS][..], &numbers[..]].concat()
    };
    (0..8).map(seed).collect()
}

/// Returns autoscalers, the selectors of their targets, and pods.
fn autoscalers(input: &[u8]) -> Vec<u8> {
    let random = &mut Random::of(input);
    let names = Names::of(random);
    let max_bytes = MAX_BYTES >> random.below(10);
    // The largest configurations have more than 64 KiB, which is refused.
    let most_bytes = [8, 200, 4_000, 70_000][random.below(4)];
    // Pods that differ in their labels, or share them.
    let reuse = random.below(3);
    let mut pod_shape = shape(0, &names, random);
    let (mut autoscalers, mut selectors, mut pods) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    while bytes < max_bytes {
        let number = autoscalers.len();
        let selector = json!(names.selector_text(random)).to_string();
        let autoscaler = autoscaler(number, most_bytes, &names, random);
        if random.below(1 + reuse * 10) == 0 {
            pod_shape = shape(0, &names, random);
        }
        let pod = pod(number, &pod_shape, 1, &names, random).to_string();
        bytes += autoscaler.len() + selector.len() + pod.len();
        autoscalers.push(autoscaler);
        selectors.push(selector);
        pods.push(pod);
    }
    let [autoscalers, selectors, pods] =
        [autoscalers, selectors, pods].map(|items| items.join(","));
    let crowd =
        format!(r#"{{"autoscalers":[{autoscalers}],"selectors":[{selectors}],"pods":[{pods}]}}"#);
    crowd.into_bytes()
}

fn autoscaler(number: usize, most_bytes: usize, names: &Names, random: &mut Random) -> String {
    let name = format!("autoscaler-{number}");
    let element = ["0", "[0]", "{\"a\":0}", "\"text\""][random.below(4)];
    let count = random.below(most_bytes) / element.len();
    let list = vec![element; count].join(",");
    let config: Value = serde_json::from_str(&format!("{{\"list\":[{list}]}}")).unwrap();
    let target = json!({ "type": "AverageValue", "averageValue": "1" });
    let metric = json!({ "name": "queue", "selector": names.selector(random) });
    let metric = json!({ "type": "External", "external": { "metric": metric, "target": target } });
    json!({
        "metadata": {
            "name": name, "namespace": names.namespace(random), "uid": name, "generation": 1,
        },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "maxReplicas": 9,
            "metrics": vec![metric; random.below(4)],
            "policies": [{ "name": "hpa", "config": config }],
        },
    })
    .to_string()
}

/// Returns a list of nodes, pods and budgets as kubectl prints it.
fn cluster(input: &[u8]) -> Vec<u8> {
    let random = &mut Random::of(input);
    let names = Names::of(random);
    let nodes = 1 + random.below(20);
    let mut items: Vec<Value> = (0..nodes).map(|number| node(number, random)).collect();
    for number in 0..random.below(20) {
        items.push(budget(number, &names, random));
    }
    let mut bytes = size(&items);
    let max_bytes = MAX_BYTES >> random.below(10);
    // Pods of one shape are one class; pods that all differ are many.
    let reuse = random.below(3);
    // Most terms and constraints of a pod: more than 32 are not judged.
    let terms = [1, 12, 40][random.below(3)];
    let mut shape = shape(terms, &names, random);
    let mut number = 0;
    while bytes < max_bytes {
        if random.below(1 + reuse * 10) == 0 {
            shape = self::shape(terms, &names, random);
        }
        let pod = pod(number, &shape, nodes, &names, random);
        bytes += size(std::slice::from_ref(&pod));
        items.push(pod);
        number += 1;
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    list.to_string().into_bytes()
}

fn size(items: &[Value]) -> usize {
    items.iter().map(|item| item.to_string().len()).sum()
}

fn node(number: usize, random: &mut Random) -> Value {
    let labels: Map<String, Value> = TOPOLOGY_KEYS
        .iter()
        .map(|key| match *key {
            "kubernetes.io/hostname" => ((*key).into(), json!(format!("node-{number}"))),
            _ => ((*key).into(), json!(format!("{}", random.below(4)))),
        })
        .collect();
    let amounts = json!({ "cpu": "64", "memory": "256Gi", "pods": "5000" });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": format!("node-{number}"), "labels": labels },
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn budget(number: usize, names: &Names, random: &mut Random) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {
            "name": format!("budget-{number}"), "namespace": names.namespace(random),
            "uid": format!("budget-{number}"), "generation": 1,
        },
        "spec": { "maxUnavailable": 1, "selector": names.selector(random) },
        "status": { "disruptionsAllowed": random.below(3), "observedGeneration": 1 },
    })
}

/// Labels and terms of pods.
struct Shape {
    labels: Value,
    affinity: Value,
    spread: Value,
}

fn shape(most: usize, names: &Names, random: &mut Random) -> Shape {
    let mut terms = |count: usize| -> Value {
        let term = |random: &mut Random| {
            let mut term = json!({
                "topologyKey": TOPOLOGY_KEYS[random.below(3)],
                "labelSelector": names.selector(random),
            });
            match random.below(3) {
                0 => term["namespaces"] = json!([names.namespace(random)]),
                1 => term["namespaceSelector"] = json!({}),
                _ => {}
            }
            term
        };
        (0..count).map(|_| term(random)).collect()
    };
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let affinity = json!({
        "podAffinity": { required: terms(most / 8) },
        "podAntiAffinity": { required: terms(most) },
    });
    let constraint = |random: &mut Random| {
        json!({
            "maxSkew": 1 + random.below(3),
            "topologyKey": TOPOLOGY_KEYS[random.below(3)],
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": names.selector(random),
        })
    };
    Shape {
        labels: names.labels(random),
        affinity,
        spread: (0..random.below(3)).map(|_| constraint(random)).collect(),
    }
}

fn pod(number: usize, shape: &Shape, nodes: usize, names: &Names, random: &mut Random) -> Value {
    let requests = json!({ "cpu": "1m", "memory": "1Mi" });
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("pod-{number}"), "namespace": names.namespace(random),
            "uid": format!("pod-{number}"), "labels": shape.labels,
        },
        "spec": {
            "affinity": shape.affinity,
            "topologySpreadConstraints": shape.spread,
            "containers": [{ "name": "main", "resources": { "requests": requests } }],
        },
        "status": { "phase": "Pending" },
    });
    if random.below(4) > 0 {
        pod["spec"]["nodeName"] = json!(format!("node-{}", random.below(nodes)));
        pod["status"]["phase"] = json!("Running");
    }
    pod
}
