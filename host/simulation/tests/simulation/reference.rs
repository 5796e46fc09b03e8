//! The page about scenarios: its examples are valid, its defaults are those that a
//! scenario without the field has, and its required fields are required.

use std::fs;
use std::path::Path;

use flyball_nodes::options::NodeOptions;
use flyball_simulation::Scenario;
use serde_json::{Value, json};

/// A scenario in which every section of the page has its place.
fn base() -> Value {
    let zone = "topology.kubernetes.io/zone";
    let pods = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
        {"key": "tier", "operator": "Exists"}
    ]});
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let near = json!({required: [{"topologyKey": zone, "labelSelector": pods}]});
    let nodes = json!([{"key": "disk", "operator": "Exists"}]);
    let workload = |name: &str, load: Value| json!({"name": name, "load": load});
    json!({
        "duration": "6h", "step": "1s", "metrics": {},
        "workloads": [
            {
                "name": "web",
                "load": {"formula": "t"},
                "metrics": [{"name": "queue", "formula": "load"}],
                "noise": {"amplitude": 0.1},
                "service": {},
                "autoscaler": {"maxReplicas": 10},
                "pod": {
                    "requests": {}, "limits": {"cpu": 1}, "startup": {"mean": "10m"},
                    "volumes": [
                        {"name": "cache", "emptyDir": {}},
                        {"name": "data", "hostPath": {"path": "/data"}}
                    ],
                    "affinity": {
                        "nodeAffinity": {required: {"nodeSelectorTerms": [
                            {"matchExpressions": nodes, "matchFields": nodes}
                        ]}},
                        "podAffinity": near, "podAntiAffinity": near
                    },
                    "tolerations": [{"key": "spot", "operator": "Exists"}],
                    "topologySpreadConstraints": [
                        {"maxSkew": 1, "topologyKey": zone, "labelSelector": pods}
                    ]
                }
            },
            workload("steps", json!({"steps": [{"at": "0s", "value": 1}]})),
            workload("file", json!({"csv": {"file": "load.csv"}})),
            {"name": "job", "kind": "Job", "load": {"formula": "0"}, "pod": {}}
        ],
        "nodeGroups": [{
            "name": "workers", "max": 10, "initial": 3, "zones": ["eu-west-1a"],
            "capacity": {"cpu": 8, "memory": "8Gi", "nvidia.com/gpu": 8},
            "allocatable": {"cpu": 0.1, "memory": "1Mi", "pods": 1},
            "taints": [{"key": "spot", "effect": "NoSchedule"}],
            "boot": {"mean": "10m"}, "shutdown": {}, "scaleDown": {},
            "failures": {
                "outOfCapacity": {"windows": [{"at": "1m", "for": "1m"}]}, "joinsLate": {}
            }
        }],
        "daemonSets": [{"name": "logs", "requests": {}, "tolerations": [{"key": "spot", "operator": "Exists"}]}],
        "podDisruptionBudgets": [
            {"name": "most", "minAvailable": 1, "selector": pods},
            {"name": "few", "maxUnavailable": 1}
        ],
        "nodeAutoscaler": {"scaleDown": {}},
        "events": [
            {"swapPolicy": {"at": "1m", "name": "hpa", "file": "mine.wasm"}},
            {"killPods": {"at": "1m", "workload": "web", "count": 1}},
            {"surge": {"at": "1m", "workload": "web", "factor": 2, "for": "1m"}},
            {"changeAutoscaler": {
                "at": "1m", "workload": "web", "autoscaler": {"maxReplicas": 5}
            }},
            {"metricsOutage": {"at": "1m", "for": "1m"}},
            {"zoneOutage": {"at": "1m", "zone": "eu-west-1a", "for": "1m"}},
            {"killNodes": {"at": "1m", "nodeGroup": "workers", "count": 1}},
            {"scale": {"at": "1m", "workload": "web", "replicas": 2}},
            {"refuseEvictions": {"at": "1m", "workload": "web", "for": "1m"}},
            {"refuseTermination": {"at": "1m", "nodeGroup": "workers", "for": "1m"}},
            {"changeNodeGroup": {"at": "1m", "nodeGroup": "workers"}}
        ]
    })
}

/// Pairs of fields of which one excludes the other.
const EXCLUSIVE: [(&str, &str); 4] = [
    ("minAvailable", "maxUnavailable"),
    ("maxUnavailable", "minAvailable"),
    ("emptyDir", "hostPath"),
    ("hostPath", "emptyDir"),
];

/// A row of a table of fields.
struct Row {
    path: String,
    field: String,
    default: String,
    example: String,
}

#[test]
fn the_page_has_valid_examples_and_true_defaults() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scenarios.md");
    let rows = rows(&fs::read_to_string(page).unwrap());
    assert!(rows.len() > 150, "{} rows", rows.len());
    let mut faults = Vec::new();
    for row in &rows {
        if let Err(fault) = check(row) {
            faults.push(format!("{}.{}: {fault}", row.path, row.field));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn check(row: &Row) -> Result<(), String> {
    let without = with(row, None)?;
    if row.example != "see there" {
        let example = value(&row.example)?;
        read(&with(row, Some(example))?).map_err(|error| format!("example: {error}"))?;
    }
    if row.default == "required" {
        let read = read(&without);
        return read.map_or(Ok(()), |_| Err("is not required".to_owned()));
    }
    // Events of the base need these, or one of two fields is needed.
    let is_needed = EXCLUSIVE.iter().any(|(field, _)| *field == row.field)
        || ["nodeGroups", "autoscaler", "zones"].contains(&row.field.as_str());
    if is_needed {
        return Ok(());
    }
    let without = read(&without).map_err(|error| format!("without it: {error}"))?;
    let literal = row.default.split(" (").next().unwrap_or_default();
    if !literal.starts_with('`') {
        return Ok(());
    }
    let explicit = with(row, Some(value(literal)?))?;
    let explicit = read(&explicit).map_err(|error| format!("default: {error}"))?;
    if effective(explicit) != effective(without) {
        return Err(format!("{literal} is not the default"));
    }
    Ok(())
}

/// Returns a scenario with the options of its loop over nodes apart, as they apply.
fn effective(mut scenario: Scenario) -> (Scenario, NodeOptions) {
    let options = std::mem::take(&mut scenario.node_autoscaler);
    let pods = scenario
        .workloads
        .iter_mut()
        .map(|workload| &mut workload.pod);
    for pod in pods {
        pod.termination = Some(pod.termination());
    }
    (scenario, options.options(&NodeOptions::default()))
}

/// Returns the base with another value of the field, or without it.
fn with(row: &Row, value: Option<Value>) -> Result<Value, String> {
    let mut scenario = base();
    let steps: Vec<&str> = row
        .path
        .split('.')
        .filter(|step| !step.is_empty())
        .collect();
    let place = find(&mut scenario, &steps).ok_or("the base has no such place")?;
    let object = place.as_object_mut().ok_or("it is no object")?;
    match value {
        None => drop(object.remove(&row.field)),
        Some(value) => {
            // Fields that exclude each other, or that another field is for.
            for (field, other) in EXCLUSIVE {
                if row.field == field {
                    object.remove(other);
                }
            }
            match row.field.as_str() {
                "values" => drop(object.insert("operator".to_owned(), json!("In"))),
                "value" if row.path.ends_with("tolerations[]") => drop(object.remove("operator")),
                _ => {}
            }
            object.insert(row.field.clone(), value);
        }
    }
    // Of a Job, for `duration`; the only kind for which it is allowed.
    if row.field == "duration" && row.path == "workloads[].pod" {
        let duration = object.remove("duration");
        let job = &mut scenario["workloads"][3]["pod"];
        duration
            .into_iter()
            .for_each(|duration| job["duration"] = duration);
    }
    if row.field == "kind" && row.path == "workloads[]" {
        let kind = scenario["workloads"][0]["kind"].take();
        scenario["workloads"][0]
            .as_object_mut()
            .ok_or("no workload")?
            .remove("kind");
        if !kind.is_null() && kind != "Deployment" {
            scenario["workloads"][1]["kind"] = kind;
        }
    }
    Ok(scenario)
}

/// Returns the first place with a path: of a list, each element is tried.
fn find<'a>(value: &'a mut Value, steps: &[&str]) -> Option<&'a mut Value> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(value);
    };
    match step.strip_suffix("[]") {
        None => find(value.get_mut(step)?, rest),
        Some(step) => {
            let elements = value.get_mut(step)?.as_array_mut()?;
            elements.iter_mut().find_map(|element| find(element, rest))
        }
    }
}

fn read(scenario: &Value) -> Result<Scenario, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("load.csv"),
        "time,value,web\n0,1,1\n3600,2,2\n",
    )
    .unwrap();
    fs::write(folder.path().join("mine.wasm"), "").unwrap();
    let mut read = Scenario::parse(&scenario.to_string(), Path::new("test.yaml"), folder.path())
        .map_err(|error| error.to_string())?;
    read.folder.clear();
    Ok(read)
}

/// Reads what the page has in backticks.
fn value(text: &str) -> Result<Value, String> {
    let text = text.trim_matches('`');
    // Words, which YAML 1.1 reads as booleans.
    if ["on", "off"].contains(&text) {
        return Ok(json!(text));
    }
    serde_saphyr::from_str(text).map_err(|error| format!("{text}: {error}"))
}

fn rows(page: &str) -> Vec<Row> {
    let mut paths: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            let names = heading
                .split(", ")
                .map(|name| name.trim_matches('`').to_owned());
            paths = match heading {
                "The file" => vec![String::new()],
                _ => names.collect(),
            };
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [field, _, _, default, example, _] = cells[..] else {
            continue;
        };
        if !line.starts_with("| ") || field == "field" {
            continue;
        }
        for path in &paths {
            let mut row = Row {
                path: path.clone(),
                field: field.trim_matches('`').to_owned(),
                default: default.to_owned(),
                example: example.to_owned(),
            };
            if let Some((name, amount)) = example.trim_matches('`').split_once(": ")
                && field == "the resource's name"
            {
                row.field = name.to_owned();
                row.example = amount.to_owned();
            }
            rows.push(row);
        }
    }
    rows
}
