//! Records: replayed, and explained.

use std::collections::BTreeMap;
use std::fs;

use flyball_test_support::vectors;
use serde_json::{Value, json};

use crate::support::{SCENARIO, Workshop};

/// Returns the records of a simulation, a line each.
fn recorded(workshop: &Workshop) -> Vec<String> {
    workshop.write("day.yaml", SCENARIO);
    workshop.succeed(&[
        "simulate",
        "day.yaml",
        "--records",
        "day.jsonl",
        "--report",
        "day.html",
    ]);
    let text = fs::read_to_string(workshop.path("day.jsonl")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn decisions_are_made_again_to_the_byte() {
    let workshop = Workshop::new();
    let lines = recorded(&workshop);
    let printed = workshop.succeed(&["replay", "day.jsonl"]);
    assert!(
        printed.contains(&format!("{} same, 0 different", lines.len())),
        "{printed}"
    );

    // `policy run` accepts a record.
    let line = &lines[lines.len() / 2];
    let record: Value = serde_json::from_str(line).unwrap();
    workshop.write("line.jsonl", line);
    let answer = workshop.succeed(&["policy", "run", "hpa", "--input", "line.jsonl"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["output"], record["policies"][0]["answer"]);
    assert_eq!(answer["fuel"], record["policies"][0]["usage"]["fuel"]);
}

#[test]
fn differences_are_found_and_named() {
    let workshop = Workshop::new();
    let lines = recorded(&workshop);
    let mut record: Value = serde_json::from_str(&lines[10]).unwrap();
    record["verdict"]["to"] = json!(19);
    workshop.write("forged.jsonl", record.to_string());
    workshop
        .run(&["replay", "forged.jsonl"])
        .expect(3, &["0 same, 1 different", "default/web"]);

    workshop.write("other.wasm", flyball_policies::PREDICTIVE);
    let ran = workshop.run(&[
        "replay",
        "day.jsonl",
        "--policy",
        "other.wasm",
        "-o",
        "json",
    ]);
    ran.expect(3, &["\"differs\""]);
    assert_eq!(ran.stdout.lines().count(), lines.len());

    let digest = format!("sha256:{}", "0".repeat(64));
    let mut record: Value = serde_json::from_str(&lines[10]).unwrap();
    record["policies"][0]["version"]["digest"] = json!(digest);
    workshop.write("orphan.jsonl", record.to_string());
    workshop
        .run(&["replay", "orphan.jsonl"])
        .expect(3, &["not found", &digest]);

    workshop
        .run(&["replay", "day.jsonl", "--policy", "gone.wasm"])
        .expect(1, &["gone.wasm"]);
}

#[test]
fn a_policy_stands_in_for_those_of_its_own_kind() {
    let workshop = Workshop::new();
    let nodes = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/nodes.yaml");
    workshop.succeed(&["simulate", nodes, "--records", "both.jsonl"]);
    // These policies made the decisions of their kinds: nothing differs.
    for policy in ["hpa", "least-waste"] {
        workshop.succeed(&["replay", "both.jsonl", "--policy", policy]);
    }
    let args = ["--policy", "least-nodes", "-o", "json"];
    let ran = workshop.run(&[&["replay", "both.jsonl"][..], &args].concat());
    ran.expect(3, &[]);
    let results = ran.stdout.lines();
    let results: Vec<Value> = results
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut others = results.iter().filter(|one| one["result"] != "same");
    assert!(
        others.clone().any(|one| one["result"] == "differs"),
        "{results:#?}"
    );
    assert!(others.all(|one| one["object"] == "nodes"), "{results:#?}");

    recorded(&workshop);
    let ran = workshop.run(&["replay", "day.jsonl", "--policy", "least-nodes"]);
    ran.expect(0, &["--policy was not asked", "expander"]);
}

#[test]
fn lines_that_are_no_records_are_named_and_the_others_read() {
    let workshop = Workshop::new();
    let lines = recorded(&workshop);
    let torn = &lines[1].as_bytes()[..500];
    let parts = [
        lines[0].as_bytes(),
        torn,
        b"{\"format\": 1}",
        b"\xff",
        lines[2].as_bytes(),
    ];
    workshop.write("torn.jsonl", parts.join(&b'\n'));
    workshop.run(&["replay", "torn.jsonl"]).expect(
        3,
        &[
            "torn.jsonl, line 2",
            "torn.jsonl, line 3",
            "torn.jsonl, line 4",
            "2 same, 0 different, 3 unreadable",
        ],
    );
    let why = [
        "why",
        "default/web",
        "--records",
        "torn.jsonl",
        "-o",
        "json",
    ];
    let ran = workshop.run(&why);
    ran.expect(3, &["torn.jsonl, line 2"]);
    let found: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found.len(), 2);
}

#[test]
fn a_decision_is_explained() {
    let workshop = Workshop::new();
    recorded(&workshop);
    let printed = workshop.succeed(&["why", "default/web", "--records", "day.jsonl", "-n", "3"]);
    assert!(
        printed.contains("default/web") && printed.contains("policy hpa"),
        "{printed}"
    );
    let json = workshop.succeed(&[
        "why",
        "default/web",
        "--records",
        "day.jsonl",
        "-n",
        "3",
        "-o",
        "json",
    ]);
    let records: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(records.len(), 3);
    assert!(records[0]["at"].as_i64() < records[2]["at"].as_i64());
    workshop
        .run(&["why", "default/other", "--records", "day.jsonl"])
        .expect(1, &["default/other"]);
}

#[test]
fn a_missing_expander_is_an_outcome_from_outside_and_another_one_is_tried_in_its_place() {
    let workshop = Workshop::new();
    workshop.write("steps.yaml", crate::expanders::scenario());
    fs::create_dir(workshop.path("drop")).unwrap();
    workshop.succeed(&[
        "run",
        "--http=127.0.0.1:0",
        "--cluster=sim:steps.yaml",
        "--expander=nobody",
        "--policies-dir=drop",
        "--records=nodes.jsonl",
        "--speed=100000",
    ]);
    let results = |args: &[&str]| {
        let replay = ["replay", "nodes.jsonl", "-o", "json"];
        let ran = workshop.run(&[&replay[..], args].concat());
        let lines = ran.stdout.lines();
        let results = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let of_nodes = results.filter(|one| one["object"] == "nodes");
        let results = of_nodes.map(|one| one["result"].as_str().unwrap().to_owned());
        results.collect::<Vec<_>>()
    };
    let given = results(&[]);
    assert!(
        given.iter().any(|result| result == "takenAsGiven"),
        "{given:?}"
    );
    let tried = results(&["--policy", "least-waste"]);
    assert!(tried.iter().any(|result| result == "differs"), "{tried:?}");
    assert!(!tried.contains(&"takenAsGiven".to_owned()), "{tried:?}");
}

#[test]
fn a_record_file_of_an_earlier_release_is_decided_again_and_explained() {
    let workshop = Workshop::new();
    let mut lines = vectors::read::<Value>("records/daemon").unwrap();
    // The versions that decided then are not kept: today's built-in policies must make
    // the same decisions.
    let digests = flyball_policies::BUILTIN.iter();
    let digests = digests.map(|(name, component)| (*name, flyball_sandbox::digest(component)));
    let digests: BTreeMap<_, _> = digests.collect();
    for version in lines.iter_mut().flat_map(versions) {
        let digest = &digests[version["name"].as_str().unwrap()];
        version["digest"] = json!(digest);
    }
    let text = lines.iter().map(|line| format!("{line}\n"));
    workshop.write("earlier.jsonl", text.collect::<String>());
    let printed = workshop.succeed(&["replay", "earlier.jsonl"]);
    assert_eq!(
        printed,
        "6 same, 0 different, 7 with an outcome from outside, taken as given, \
         2 where nothing was decided\n"
    );
    let nodes = workshop.succeed(&["why", "nodes", "--records", "earlier.jsonl"]);
    assert!(
        nodes.contains("PolicyMissing") && nodes.contains("ordered"),
        "{nodes}"
    );
    let lost = ["why", "default/lost", "--records", "earlier.jsonl"];
    let lost = workshop.succeed(&lost);
    assert!(lost.contains("stands in for nobody"), "{lost}");
}

/// Returns the versions of all policies that a record names.
fn versions(record: &mut Value) -> Vec<&mut Value> {
    let parts: Vec<&mut Value> = if record["policies"].is_array() {
        record["policies"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .collect()
    } else {
        let rounds = record["rounds"].as_array_mut().unwrap().iter_mut();
        let parts = rounds.map(|round| round["expanders"].as_array_mut().unwrap());
        parts.flatten().collect()
    };
    let mut versions = Vec::new();
    for part in parts {
        for (field, value) in part.as_object_mut().unwrap() {
            match field.as_str() {
                "version" if value.is_object() => versions.push(value),
                "failed" if value["version"].is_object() => versions.push(&mut value["version"]),
                _ => {}
            }
        }
    }
    versions
}
