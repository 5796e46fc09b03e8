//! Expanders that are added, broken and removed while nodes are ordered, on an embedded
//! cluster; and their configurations.

use std::fs;

use flyball_tests::guests;
use serde_json::Value;

use crate::support::{Daemon, Workshop};

/// Every ten minutes another replica is needed, and a node has room for one.
pub fn scenario() -> String {
    let steps = (0..30).map(|step| {
        let (at, load) = (step * 10, 20 + step * 10);
        format!("        - {{at: {at}m, value: {load}}}\n")
    });
    format!(
        "\
name: Steps
duration: 5h
workloads:
  - name: web
    replicas: 2
    pod:
      requests: {{cpu: 900m, memory: 1Gi}}
      startup: {{mean: 5s}}
    service: {{cpuPerRequest: 45m}}
    load:
      steps:
{}    autoscaler:
      minReplicas: 1
      maxReplicas: 40
      metrics:
        - type: Resource
          resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}
nodeGroups:
  - name: large
    max: 20
    capacity: {{cpu: 2, memory: 8Gi}}
  - name: small
    max: 40
    initial: 2
    capacity: {{cpu: 1, memory: 4Gi}}
",
        steps.collect::<String>()
    )
}

fn workshop() -> Workshop {
    let workshop = Workshop::new();
    workshop.write("steps.yaml", scenario());
    fs::create_dir(workshop.path("drop")).unwrap();
    workshop
}

const ARGS: [&str; 7] = [
    "--cluster",
    "sim:steps.yaml",
    "--policies-dir",
    "drop",
    "--records",
    "steps.jsonl",
    "--speed=120",
];

/// Returns the last order: the expander, its reason, and the group.
fn last_order(daemon: &Daemon) -> Option<(String, String)> {
    let record = daemon.node_records().into_iter().rev();
    let rounds = record.flat_map(|record| record["rounds"].as_array().cloned());
    let round = rounds
        .flatten()
        .find(|round| round["orders"] != Value::Array(Vec::new()))?;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Some((
        text(&round["choice"]["reason"]),
        text(&round["orders"][0]["group"]),
    ))
}

fn component(name: &str) -> &'static [u8] {
    let mut builtin = flyball_policies::BUILTIN.iter();
    builtin.find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn a_file_takes_over_from_an_expander_while_nodes_are_ordered() {
    let workshop = workshop();
    let first = &guests::components("expanders").unwrap()["both"];
    let daemon = Daemon::ready(&workshop, &ARGS);
    let chosen = |daemon: &Daemon, group: &str| {
        last_order(daemon).is_some_and(|(_, ordered)| ordered == group)
    };
    daemon.wait_for("an order by least-waste", |daemon| chosen(daemon, "small"));

    workshop.write("drop/least-waste.wasm", first);
    daemon.wait_for("an order by the file", |daemon| chosen(daemon, "large"));
    assert_eq!(last_order(&daemon).unwrap().0, "First");

    workshop.write("drop/least-waste.wasm", "no policy at all");
    daemon.wait_for("the bad file to be refused", |daemon| {
        daemon.policy("least-waste").unwrap()["state"] == "failed"
    });
    fs::remove_file(workshop.path("drop/least-waste.wasm")).unwrap();
    daemon.wait_for("the built-in one to choose again", |daemon| {
        last_order(daemon).is_some_and(|(reason, group)| reason != "First" && group == "small")
    });
}

#[test]
fn a_version_that_does_not_take_the_configuration_in_use_is_refused() {
    let workshop = workshop();
    workshop.write(
        "prices.yaml",
        "nodePrices: {small: 1, large: 9}\nperCoreHour: 1\n",
    );
    let priced = ["--expander=price", "--expander-config=price=prices.yaml"];
    let daemon = Daemon::ready(&workshop, &[&ARGS[..], &priced].concat());
    let digest = || daemon.policy("price").unwrap()["version"]["digest"].clone();
    let before = digest();

    workshop.write("drop/price.wasm", component("least-waste"));
    let state = || daemon.policy("price").unwrap()["state"].clone();
    daemon.wait_for("the file to be judged", |_| {
        state() == "failed" || digest() != before
    });
    let listed = daemon.policy("price").unwrap();
    let reason = listed["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("a configuration in use") && reason.contains("nodePrices"),
        "{listed}"
    );
    assert_eq!(digest(), before, "what decided before goes on");
}

#[test]
fn a_wrong_configuration_is_told_at_the_start() {
    let workshop = workshop();
    workshop.write("mine.wasm", component("price"));
    for (prices, wrong) in [
        ("nodePrice: {small: 1}", "nodePrice"),
        ("nodePrices: {small: -1}", "/nodePrices/small"),
    ] {
        workshop.write("prices.yaml", prices);
        let config = ["--expander=price", "--expander-config=price=prices.yaml"];
        let sim = ["run", "--http=127.0.0.1:0", "--cluster", "sim:steps.yaml"];
        let expected = ["the configuration of expander price is wrong", wrong];
        workshop
            .run(&[&sim[..], &config].concat())
            .expect(1, &expected);
    }
    // A policy of the directory is known only after the directory was read.
    workshop.write("drop/mine.wasm", component("price"));
    let config = ["--expander=mine", "--expander-config=mine=prices.yaml"];
    let run = ["run", "--http=127.0.0.1:0"];
    workshop
        .run(&[&run[..], &ARGS, &config].concat())
        .expect(1, &["the configuration of expander mine is wrong"]);
}

#[test]
fn the_half_that_was_asked_for_runs_alone() {
    let workshop = workshop();
    let run = |half: &str| {
        let half = format!("--controllers={half}");
        workshop.succeed(&[
            "run",
            "--http=127.0.0.1:0",
            "--cluster=sim:steps.yaml",
            "--records=steps.jsonl",
            "--speed=100000",
            &half,
        ]);
        let records = fs::read_to_string(workshop.path("steps.jsonl")).unwrap();
        fs::remove_file(workshop.path("steps.jsonl")).unwrap();
        let of = |format: &str| records.lines().filter(|line| line.contains(format)).count();
        (
            of("flyball.dev/decision/"),
            of("flyball.dev/node-decision/"),
        )
    };
    let (replicas, nodes) = run("replicas");
    assert!(replicas > 0 && nodes == 0, "{replicas} and {nodes}");
    let (replicas, _) = run("nodes");
    assert_eq!(replicas, 0, "nobody asked for them");
    let both = run("replicas,nodes");
    assert!(both.0 > 0 && both.1 > 0, "{both:?}");

    workshop.write("day.yaml", crate::support::SCENARIO);
    let none = ["run", "--http=127.0.0.1:0", "--cluster=sim:day.yaml"];
    workshop
        .run(&[&none[..], &["--controllers=nodes"]].concat())
        .expect(1, &["--controllers", "no node groups"]);
}
