//! Random pods with requirements.

use serde_json::{Value, json};

use crate::generate::{NAMESPACES, Random, Theme, no_kubelet};

/// The cluster in which the pods are.
pub struct Peers<'a> {
    pub themes: &'a [Theme],
    pub nodes: &'a [String],
}

/// Draws a pod with some of the requirements of the themes.
pub fn pod(random: &mut Random, name: &str, peers: &Peers<'_>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": random.pick(&["blue", "blue", "green", "plain"]),
            "annotations": no_kubelet(),
            "labels": {
                "app": random.pick(&["web", "web", "db"]),
                "track": random.pick(&["1", "2"]),
            },
        },
        "spec": { "containers": [container(random, "main")] },
    });
    if random.once_in(2) {
        pod["metadata"]["labels"]["tier"] = json!(random.pick(&["front", "back"]));
    }
    for theme in peers.themes {
        if !random.once_in(4) {
            ask(random, *theme, &mut pod["spec"], peers);
        }
    }
    pod
}

fn container(random: &mut Random, name: &str) -> Value {
    let mut amounts = json!({});
    for (resource, values) in [
        ("cpu", &["0", "100m", "250m", "0.7", "1"][..]),
        ("memory", &["0", "128Mi", "300M", "1Gi"]),
    ] {
        if !random.once_in(3) {
            amounts[resource] = json!(random.pick(values));
        }
    }
    // If only limits are set, they are the requests too.
    let given = random.pick(&["requests", "requests", "requests", "limits"]);
    json!({ "name": name, "image": "none", "resources": { given: amounts } })
}

fn ask(random: &mut Random, theme: Theme, spec: &mut Value, peers: &Peers<'_>) {
    match theme {
        Theme::Devices => devices(random, spec),
        Theme::InitContainers => {
            let inits = (0..1 + random.below(3)).map(|at| init_container(random, at));
            set_init_containers(spec, inits.collect());
        }
        Theme::WholePod => whole_pod(random, spec),
        Theme::Taints => {
            let keys = ["dedicated", "special", ""];
            spec["tolerations"] = tolerations(random, &keys);
        }
        Theme::Cordons => {
            let keys = ["node.kubernetes.io/unschedulable", ""];
            spec["tolerations"] = tolerations(random, &keys);
        }
        Theme::NodeSelector => {
            spec["nodeSelector"]["disk"] = json!(random.pick(&["ssd", "hdd"]));
        }
        Theme::NodeAffinity => node_affinity(
            random,
            spec,
            &|random| json!({ "matchExpressions": some(random, 3, node_expression) }),
        ),
        Theme::NodeNames => node_affinity(random, spec, &|random| {
            let name = random.pick(&peers.nodes.iter().collect::<Vec<_>>());
            let operator = random.pick(&["In", "In", "NotIn"]);
            let field = json!({ "key": "metadata.name", "operator": operator, "values": [name] });
            let expressions = match random.below(4) {
                0 => vec![node_expression(random)],
                _ => Vec::new(),
            };
            json!({ "matchFields": [field], "matchExpressions": expressions })
        }),
        Theme::HostPorts => host_ports(random, spec),
        Theme::PodAffinity => {
            let required = "requiredDuringSchedulingIgnoredDuringExecution";
            spec["affinity"]["podAffinity"][required] = some(random, 3, affinity_term);
        }
        Theme::PodAntiAffinity => {
            let required = "requiredDuringSchedulingIgnoredDuringExecution";
            spec["affinity"]["podAntiAffinity"][required] = some(random, 3, affinity_term);
        }
        Theme::Spread => spread(random, spec),
        Theme::Gates => {
            if random.once_in(3) {
                spec["schedulingGates"] = json!([{ "name": "example.com/wait" }]);
            }
        }
    }
}

/// Draws a list of at least one and fewer than `end` values.
fn some(random: &mut Random, end: usize, draw: impl Fn(&mut Random) -> Value) -> Value {
    let count = 1 + random.below(end - 1);
    (0..count).map(|_| draw(random)).collect()
}

fn devices(random: &mut Random, spec: &mut Value) {
    let resources = &mut spec["containers"][0]["resources"];
    let count = random.pick(&["0", "1", "2"]);
    resources["limits"]["example.com/device"] = json!(count);
    resources["requests"]["example.com/device"] = json!(count);
    resources["requests"]["ephemeral-storage"] = json!(random.pick(&["0", "500Mi", "1Gi"]));
}

fn init_container(random: &mut Random, at: usize) -> Value {
    let mut container = container(random, &format!("init-{at}"));
    if random.once_in(2) {
        container["restartPolicy"] = json!("Always");
    }
    container
}

/// Sets init containers, unless the pod has pod-level requests, which may not be less
/// than the sum of its containers.
fn set_init_containers(spec: &mut Value, containers: Value) {
    if spec["resources"].is_null() {
        spec["initContainers"] = containers;
    }
}

fn whole_pod(random: &mut Random, spec: &mut Value) {
    if random.once_in(2) {
        spec["runtimeClassName"] = json!("heavy");
        spec["overhead"] = json!({ "cpu": "250m", "memory": "100Mi" });
    }
    if random.once_in(2) {
        spec["initContainers"] = json!([]);
        spec["containers"][0]["resources"] = json!({ "requests": { "cpu": "100m" } });
        spec["resources"] = match random.below(3) {
            0 => json!({ "requests": { "cpu": "1" } }),
            1 => json!({ "limits": { "cpu": "700m", "memory": "1Gi" } }),
            _ => json!({ "requests": { "cpu": "200m", "memory": "600Mi" } }),
        };
    }
}

fn tolerations(random: &mut Random, keys: &[&str]) -> Value {
    some(random, 3, |random| {
        let key = random.pick(keys);
        let mut toleration = match random.below(3) {
            0 if !key.is_empty() => json!({ "key": key, "value": random.pick(&["a", "b", ""]) }),
            1 if !key.is_empty() => json!({ "key": key, "operator": "Equal" }),
            _ => json!({ "key": key, "operator": "Exists" }),
        };
        if random.once_in(2) {
            let effects = ["NoSchedule", "NoExecute", "PreferNoSchedule"];
            toleration["effect"] = json!(random.pick(&effects));
        }
        toleration
    })
}

fn node_affinity(random: &mut Random, spec: &mut Value, term: &dyn Fn(&mut Random) -> Value) {
    // A term without conditions matches nothing.
    let term = |random: &mut Random| match random.below(12) {
        0 => json!({}),
        _ => term(random),
    };
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    spec["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"] = some(random, 4, term);
}

fn node_expression(random: &mut Random) -> Value {
    let (key, values) = random.pick(&[
        (
            "topology.kubernetes.io/zone",
            &["east", "west", "nowhere"][..],
        ),
        ("disk", &["ssd", "hdd"]),
        ("cores", &["4", "007", "15", "many"]),
    ]);
    let operators = ["In", "NotIn", "Exists", "DoesNotExist"];
    if key == "cores" && random.once_in(2) {
        let operator = random.pick(&["Gt", "Lt"]);
        return json!({ "key": key, "operator": operator, "values": [random.pick(values)] });
    }
    expression(random, key, &operators, values)
}

fn expression(random: &mut Random, key: &str, operators: &[&str], values: &[&str]) -> Value {
    let operator = random.pick(operators);
    let values = match operator {
        "In" | "NotIn" => some(random, 3, |random| json!(random.pick(values))),
        _ => json!([]),
    };
    json!({ "key": key, "operator": operator, "values": values })
}

fn host_ports(random: &mut Random, spec: &mut Value) {
    if random.once_in(4) {
        spec["hostNetwork"] = json!(true);
        spec["containers"][0]["ports"] = json!([{ "containerPort": 8080 }]);
        return;
    }
    let port = |random: &mut Random, container_port: u16| {
        let ips = ["", "0.0.0.0", "127.0.0.1", "10.0.0.1", "::"];
        json!({
            "containerPort": container_port,
            "hostPort": container_port,
            "hostIP": random.pick(&ips),
            "protocol": random.pick(&["TCP", "TCP", "UDP"]),
        })
    };
    spec["containers"][0]["ports"] = json!([port(random, 8080)]);
    if random.once_in(2) {
        // Ports of init containers that are not sidecars are not used.
        let mut container = init_container(random, 9);
        container["ports"] = json!([port(random, 9090)]);
        set_init_containers(spec, json!([container]));
    }
}

const TOPOLOGY_KEYS: [&str; 3] = [
    "topology.kubernetes.io/zone",
    "kubernetes.io/hostname",
    "disk",
];

/// Draws a selector of pods by the labels `app` and `tier`.
fn pod_selector(random: &mut Random) -> Value {
    let operators = ["In", "NotIn", "Exists", "DoesNotExist"];
    match random.below(8) {
        0 => json!({}),
        1 | 2 => json!({ "matchExpressions": [
            expression(random, "tier", &operators, &["front", "back"]),
        ] }),
        3 => json!({ "matchExpressions": [
            expression(random, "app", &operators, &["web", "db"]),
        ] }),
        _ => json!({ "matchLabels": { "app": random.pick(&["web", "db"]) } }),
    }
}

fn affinity_term(random: &mut Random) -> Value {
    let mut term = json!({ "topologyKey": random.pick(&TOPOLOGY_KEYS) });
    if random.once_in(12) {
        // Without a selector, the term selects no pod.
        return term;
    }
    term["labelSelector"] = pod_selector(random);
    if random.once_in(3) {
        term["namespaces"] = some(random, 3, |random| json!(random.pick(&NAMESPACES).0));
    }
    if random.once_in(3) {
        let operators = ["In", "NotIn", "Exists", "DoesNotExist"];
        term["namespaceSelector"] = match random.below(4) {
            0 => json!({}),
            1 => json!({ "matchLabels": { "team": random.pick(&["blue", "green"]) } }),
            _ => json!({ "matchExpressions": some(random, 3, |random| {
                let key = random.pick(&["team", "stage"]);
                expression(random, key, &operators, &["blue", "green", "test"])
            }) }),
        };
    }
    if random.once_in(4) {
        let keys = random.pick(&["matchLabelKeys", "mismatchLabelKeys"]);
        term[keys] = json!(["track"]);
    }
    term
}

fn spread(random: &mut Random, spec: &mut Value) {
    let first = random.below(TOPOLOGY_KEYS.len());
    let keys = (0..1 + random.below(2)).map(|at| TOPOLOGY_KEYS[(first + at) % 3]);
    let constraints = keys.map(|key| {
        let mut constraint = json!({
            "maxSkew": random.pick(&[1, 1, 1, 2]),
            "topologyKey": key,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": pod_selector(random),
        });
        if random.once_in(3) {
            constraint["minDomains"] = json!(1 + random.below(4));
        } else if random.once_in(6) {
            constraint["whenUnsatisfiable"] = json!("ScheduleAnyway");
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if random.once_in(3) {
                constraint[policy] = json!(random.pick(&["Honor", "Ignore"]));
            }
        }
        if random.once_in(3) {
            constraint["matchLabelKeys"] = json!(["track"]);
        }
        constraint
    });
    spec["topologySpreadConstraints"] = constraints.collect();
}
