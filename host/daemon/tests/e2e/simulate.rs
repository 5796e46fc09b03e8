//! Simulations: reproducible to the byte, and comparisons.

use std::fs;

use crate::support::{SCENARIO, Workshop};

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let workshop = Workshop::new();
    // The seed determines the noise.
    workshop.write(
        "day.yaml",
        SCENARIO.replace(
            "    autoscaler",
            "    noise: {amplitude: 0.1}\n    autoscaler",
        ),
    );
    let run = |name: &str, seed: &str| {
        let (records, report) = (format!("{name}.jsonl"), format!("{name}.html"));
        let args = [
            "simulate",
            "day.yaml",
            "--seed",
            seed,
            "--records",
            &records,
            "--report",
            &report,
        ];
        let printed = workshop.succeed(&args);
        assert!(
            printed.contains("Two hours") && printed.contains(&report),
            "{printed}"
        );
        let page = fs::read_to_string(workshop.path(&report)).unwrap();
        assert!(
            page.contains("<td>hpa</td>"),
            "the run is named by its policy"
        );
        (
            fs::read(workshop.path(&records)).unwrap(),
            fs::read(workshop.path(&report)).unwrap(),
        )
    };
    let (first, second, other) = (run("a", "1"), run("b", "1"), run("c", "2"));
    assert!(first == second, "two runs from one seed differ");
    assert!(first.0 != other.0, "two seeds gave the same records");
}

#[test]
fn policies_are_compared_under_the_same_load() {
    let workshop = Workshop::new();
    workshop.write("day.yaml", SCENARIO);
    workshop.write("mine.wasm", flyball_policies::PREDICTIVE);
    let args = [
        "simulate",
        "day.yaml",
        "--compare",
        "hpa,mine.wasm",
        "--report",
        "both.html",
    ];
    let printed = workshop.succeed(&args);
    for heading in [
        "REQUESTS LOST",
        "ABOVE TARGET",
        "REPLICA-HOURS",
        "CHANGES",
        "BIGGEST SWING",
    ] {
        assert!(printed.contains(heading), "{heading}: {printed}");
    }
    assert!(
        fs::read_to_string(workshop.path("both.html"))
            .unwrap()
            .contains("mine")
    );

    let json = workshop.succeed(&[&args[..], &["-o", "json"]].concat());
    let compared: serde_json::Value = serde_json::from_str(&json).unwrap();
    let runs = compared["runs"].as_array().unwrap();
    assert_eq!(
        (runs[0]["label"].as_str(), runs[1]["label"].as_str()),
        (Some("hpa"), Some("mine"))
    );
    assert_eq!(runs[0]["summary"]["offered"], runs[1]["summary"]["offered"]);
    assert_ne!(
        runs[0]["summary"]["replicaHours"],
        runs[1]["summary"]["replicaHours"]
    );
    for run in runs {
        assert!(run["decisions"].as_u64().unwrap() > 100, "{run}");
        assert_eq!(run["policies"][0]["version"]["name"], run["label"]);
    }
    workshop
        .run(&["simulate", "day.yaml", "--compare", "hpa,gone.wasm"])
        .expect(1, &["gone.wasm"]);
}

#[test]
fn contenders_have_configurations_of_their_own() {
    let workshop = Workshop::new();
    workshop.write("day.yaml", SCENARIO);
    workshop.write("mine.wasm", flyball_policies::PREDICTIVE);
    workshop.write("far.json", r#"{"leadSeconds": 1800}"#);
    let compare = |contenders: &str| {
        workshop.run(&[
            "simulate",
            "day.yaml",
            "-o",
            "json",
            "--compare",
            contenders,
        ])
    };
    let ran = compare(r#"mine.wasm={"leadSeconds": 0},mine.wasm=far.json,mine.wasm"#);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let compared: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let runs = compared["runs"].as_array().unwrap();
    let labels: Vec<_> = runs
        .iter()
        .map(|run| run["label"].as_str().unwrap())
        .collect();
    assert_eq!(
        labels,
        [r#"mine {"leadSeconds": 0}"#, "mine far.json", "mine"]
    );
    let figures = |row: usize| runs[row]["summary"]["replicaHours"].as_f64().unwrap();
    assert!(figures(0) != figures(1) && figures(1) != figures(2));
    for run in runs {
        assert_eq!(run["policies"][0]["version"]["name"], "mine");
    }
    compare(r#"mine.wasm={"leadSecond": 1},hpa"#).expect(1, &["mine", "leadSecond"]);
    compare("mine.wasm=gone.json,hpa").expect(1, &["gone.json"]);
    workshop.write("list.json", "[1]");
    compare("mine.wasm=list.json,hpa").expect(1, &["list.json", "no JSON object"]);
}

/// Returns the path of an example of the repository.
fn example(name: &str) -> String {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    format!("{examples}/{name}")
}

fn simulated(workshop: &Workshop, args: &[&str]) -> serde_json::Value {
    let json = workshop.succeed(&[&["simulate", "-o", "json"], args].concat());
    serde_json::from_str(&json).unwrap()
}

#[test]
fn pods_get_nodes_that_a_sandboxed_expander_chose() {
    let workshop = Workshop::new();
    let file = example("nodes.yaml");
    let printed = workshop.succeed(&["simulate", &file, "--report", "nodes.html"]);
    for text in ["{nodes 2->4 (max: 4)}", "least-waste 0.1.0", "NODE-HOURS"] {
        assert!(printed.contains(text), "{text}: {printed}");
    }
    let page = fs::read_to_string(workshop.path("nodes.html")).unwrap();
    assert!(page.contains("Pending pods") && page.contains("{nodes 2-&gt;4 (max: 4)}"));

    // Its records can be replayed, including those about nodes.
    workshop.succeed(&["simulate", &file, "--records", "nodes.jsonl"]);
    let records = fs::read_to_string(workshop.path("nodes.jsonl")).unwrap();
    assert!(records.contains("flyball.dev/node-decision/"));
    workshop.succeed(&["replay", "nodes.jsonl"]);

    let first = simulated(&workshop, &[&file]);
    assert_eq!(
        first,
        simulated(&workshop, &[&file]),
        "same seed, same result"
    );
    let nodes = &first["runs"][0]["nodes"];
    assert_eq!(nodes["groups"][0]["last"], 4);
    assert_eq!(nodes["groups"][1]["most"], 0);
    let expander = &nodes["decisions"][0]["rounds"][0]["expanders"][0];
    assert!(
        expander["version"]["digest"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );

    // Another expander, and several under the same load.
    let other = simulated(&workshop, &[&file, "--expander", "most-pods,least-nodes"]);
    assert_eq!(
        other["runs"][0]["nodes"]["groups"][1]["most"], 1,
        "one large node"
    );
    let compared = ["--compare", "least-waste,least-nodes"];
    let compared = simulated(&workshop, &[&[file.as_str()][..], &compared].concat());
    let most = |run: usize| compared["runs"][run]["nodes"]["mostNodes"].as_f64();
    assert_eq!((most(0), most(1)), (Some(4.0), Some(3.0)));
    workshop
        .run(&["simulate", &file, "--compare", "hpa,least-waste"])
        .expect(1, &["expanders are compared with expanders"]);
    workshop
        .run(&["simulate", &file, "--expander", "cheapest"])
        .expect(1, &["--expander", "no expander \"cheapest\""]);
}

#[test]
fn a_zone_goes_out_and_a_thousand_pods_come_with_expanders_in_the_sandbox() {
    let workshop = Workshop::new();
    let outage = simulated(&workshop, &[&example("nodes/zone-outage.yaml")]);
    let run = &outage["runs"][0];
    let groups = run["nodes"]["groups"].as_array().unwrap();
    let grown = |name: &str| {
        let group = groups.iter().find(|group| group["name"] == name).unwrap();
        group["last"].as_u64() > Some(1)
    };
    assert!(grown("zone-a") && grown("zone-c"), "{groups:#?}");
    assert!(run["nodes"]["mostPending"].as_u64() >= Some(4));

    let burst = simulated(&workshop, &[&example("nodes/thousand-pods.yaml")]);
    let nodes = &burst["runs"][0]["nodes"];
    let orders = nodes["decisions"][0]["verdict"]["orders"].clone();
    let ordered = orders.as_array().unwrap().iter().map(|order| {
        let cores = if order["group"] == "large" { 16 } else { 2 };
        (order["to"].as_u64().unwrap() - order["from"].as_u64().unwrap()) * cores
    });
    let cores: u64 = ordered.sum();
    assert!((500..=512).contains(&cores), "one decision: {orders}");
    let by = &nodes["decisions"][0]["rounds"][0]["expanders"][0]["version"]["digest"];
    assert!(by.as_str().unwrap().starts_with("sha256:"), "{by}");
}

#[test]
fn spot_nodes_run_dry_and_what_fits_nowhere_is_told() {
    let workshop = Workshop::new();
    let spot = simulated(&workshop, &[&example("nodes/spot.yaml")]);
    let groups = spot["runs"][0]["nodes"]["groups"].clone();
    assert!(
        groups[1]["most"].as_u64().unwrap() > 0,
        "on-demand nodes: {groups}"
    );
    assert!(
        groups[0]["last"].as_u64().unwrap() > 2,
        "spot nodes again: {groups}"
    );

    let printed = workshop.succeed(&["simulate", &example("nodes/never-fits.yaml")]);
    for text in ["fits nowhere", "small: Insufficient memory", "orders 0"] {
        assert!(printed.contains(text), "{text}: {printed}");
    }
}

#[test]
fn a_lower_bound_of_zero_needs_the_feature_gate_and_a_metric_from_outside() {
    let workshop = Workshop::new();
    let idle = SCENARIO
        .replace("40 + 120 * bell(1h, 20m)", "0")
        .replace("minReplicas: 2", "minReplicas: 0");
    workshop.write("idle.yaml", &idle);
    workshop.run(&["simulate", "idle.yaml"]).expect(
        1,
        &["workloads[0].autoscaler.metrics: must specify at least one Object or External metric"],
    );

    let (before, _) = idle.split_once("        - type: Resource").unwrap();
    let queue = "        - type: External
          external: {metric: {name: requests-per-second}, target: {type: AverageValue, averageValue: 20}}
";
    workshop.write("idle.yaml", format!("{before}{queue}"));
    let kept = "default/web: minReplicas is 0, but the feature gate HPAScaleToZero is off: \
                decided as with minReplicas: 1";
    workshop
        .run(&["simulate", "idle.yaml"])
        .expect(0, &[kept, "--feature-gates=HPAScaleToZero=true"]);
    let gated = |gate: &str| {
        let run = simulated(&workshop, &["idle.yaml", gate])["runs"][0].clone();
        let hours = run["summary"]["replicaHours"].as_f64().unwrap();
        (run["keptFromZero"].as_array().unwrap().len(), hours)
    };
    let (kept, hours) = gated("--feature-gates=HPAScaleToZero=false");
    assert!(kept == 1 && hours >= 2.0, "{kept} {hours}");
    let (kept, hours) = gated("--feature-gates=HPAScaleToZero=true");
    assert!(kept == 0 && hours < 1.0, "{kept} {hours}");
}

#[test]
fn nodes_go_at_night_by_sandboxed_policies() {
    let workshop = Workshop::new();
    let file = example("nodes/night.yaml");
    let night = simulated(&workshop, &[&file]);
    let nodes = &night["runs"][0]["nodes"];
    let removals = &nodes["removals"];
    assert!(removals["nodes"].as_u64() >= Some(4), "{removals}");
    for none in ["drainsTakenBack", "podsPending", "podsLost"] {
        assert_eq!(removals[none], 0, "{removals}");
    }
    assert!(
        removals["podsMovedPerNode"].as_f64() > Some(0.0),
        "{removals}"
    );
    let printed = workshop.succeed(&["simulate", &file, "--report", "night.html"]);
    for text in ["nodes removed", "drains taken back 0"] {
        assert!(printed.contains(text), "{text}: {printed}");
    }
    let page = fs::read_to_string(workshop.path("night.html")).unwrap();
    assert!(page.contains("pods moved per node"));

    // A lower threshold of the same policy removes fewer nodes.
    let chains = r#"drain-rules+utilization,drain-rules+utilization={"threshold":0.1}"#;
    let compared = simulated(&workshop, &[&file, "--compare", chains]);
    let hours = |run: usize| compared["runs"][run]["nodes"]["nodeHours"].as_f64();
    assert!(hours(0) < hours(1), "{:?}", [hours(0), hours(1)]);
    assert_eq!(compared["runs"][0]["label"], "drain-rules+utilization");
    workshop
        .run(&["simulate", &file, "--compare", "utilization,least-waste"])
        .expect(1, &["expanders are compared with expanders"]);
    workshop
        .run(&[
            "simulate",
            &file,
            "--compare",
            "hpa+utilization,utilization",
        ])
        .expect(1, &["only scale-down policies form a chain here"]);
}

#[test]
fn a_metric_that_no_decision_can_read_is_named_and_fails_the_run() {
    let workshop = Workshop::new();
    let cpu = "        - type: Resource
          resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
";
    let queue = "        - type: Pods
          pods:
            metric: {name: queue_length}
            target: {type: AverageValue, averageValue: \"10\"}
";
    assert!(SCENARIO.contains(cpu));
    workshop.write("day.yaml", SCENARIO.replace(cpu, queue));
    let unread = [
        "481 of 481 decisions could not read queue_length",
        "known here: requests-per-second",
    ];
    workshop
        .run(&["simulate", "day.yaml", "--report", "report.html"])
        .expect(3, &unread);
    let page = fs::read_to_string(workshop.path("report.html")).unwrap();
    assert!(unread.iter().all(|text| page.contains(text)), "{page}");

    // The first decisions of a pod without samples are no fault.
    workshop.write("day.yaml", SCENARIO);
    workshop.succeed(&["simulate", "day.yaml"]);
}

/// The pods of the example request a GPU each, of which a node has two. Its autoscaler reads
/// a metric with a formula, which asks for 8 pods at the peak of 16 requests per second.
#[test]
fn pods_with_gpus_get_nodes_with_gpus_and_scale_by_a_metric_of_their_own() {
    let workshop = Workshop::new();
    let file = example("inference.yaml");
    simulated(&workshop, &[&file, "--records", "records.jsonl"]);
    let records = fs::read_to_string(workshop.path("records.jsonl")).unwrap();
    let records = records.lines().map(serde_json::from_str);
    let records: Vec<serde_json::Value> = records.collect::<Result<_, _>>().unwrap();
    let verdicts = records.iter().map(|record| &record["verdict"]);
    let orders = { verdicts.clone() }.filter_map(|verdict| verdict["orders"].as_array());
    let ordered: Vec<(&str, u64)> = orders
        .flatten()
        .filter_map(|order| Some((order["group"].as_str()?, order["to"].as_u64()?)))
        .collect();
    let gpu = |to| ("gpu", to);
    assert_eq!(ordered, [gpu(1), gpu(2), gpu(3), gpu(4)]);
    let most = verdicts.filter_map(|verdict| verdict["to"].as_i64()).max();
    assert_eq!(most, Some(8));

    let scenario = fs::read_to_string(&file).unwrap();
    let refused = |from: &str, to: &str, message: &str| {
        assert!(scenario.contains(from), "{from}");
        workshop.write("refused.yaml", scenario.replace(from, to));
        workshop
            .run(&["simulate", "refused.yaml"])
            .expect(1, &[message]);
    };
    refused("nvidia.com/gpu: 1}", "gpus: 1}", "unknown resource `gpus`");
    refused("max(ready, 1)", "max(redy, 1)", "unknown name \"redy\"");
    let groups = &scenario[scenario.find("nodeGroups:").unwrap()..];
    refused(groups, "", "workloads[0].pod.requests: needs nodeGroups");
    refused(
        "2 + 14 *",
        "2 + ready *",
        "`load` and `ready` are for formulas of metrics",
    );
}
