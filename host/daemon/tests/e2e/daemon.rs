//! The daemon on an embedded cluster: its HTTP interface, policies that are added, broken
//! and removed, and its end.

use std::fs;

use serde_json::Value;

use crate::support::{Daemon, SCENARIO, Workshop};

const ARGS: [&str; 6] = [
    "--cluster",
    "sim:day.yaml",
    "--policies-dir",
    "drop",
    "--records",
    "day.jsonl",
];

fn workshop() -> Workshop {
    let workshop = Workshop::new();
    workshop.write("day.yaml", SCENARIO);
    fs::create_dir(workshop.path("drop")).unwrap();
    workshop
}

fn digest_of_last(daemon: &Daemon) -> Option<String> {
    let record = daemon.last_record("default/web")?;
    Some(
        record["policies"][0]["version"]["digest"]
            .as_str()?
            .to_owned(),
    )
}

#[test]
fn policies_are_swapped_while_it_decides_and_bad_ones_are_refused() {
    let workshop = workshop();
    let daemon = Daemon::ready(&workshop, &[&ARGS[..], &["--speed", "30"]].concat());
    assert_eq!(daemon.get("/healthz").as_deref(), Some("ok\n"));
    daemon.wait_for("a first decision", |daemon| {
        digest_of_last(daemon).is_some()
    });
    let built_in = digest_of_last(&daemon).unwrap();

    workshop.write("drop/hpa.wasm", flyball_policies::PREDICTIVE);
    let file = flyball_sandbox::digest(flyball_policies::PREDICTIVE);
    daemon.wait_for("the file to be taken up", |daemon| {
        daemon.policy("hpa").unwrap()["version"]["digest"] == *file
    });
    let sequence = |record: &Value| record["sequence"].as_u64().unwrap();
    let last = |daemon: &Daemon| sequence(&daemon.last_record("default/web").unwrap());
    let seen = last(&daemon);
    daemon.wait_for("decisions by the file", |daemon| last(daemon) > seen + 3);
    for record in daemon.records("default/web") {
        let digest = &record["policies"][0]["version"]["digest"];
        // The next decision may have been in progress: no later one is made by the old
        // code.
        if sequence(&record) > seen + 1 {
            assert_eq!(digest, file.as_str(), "{record}");
        }
    }
    let logged = |what: &str| {
        let line = [("message", "policy hpa "), ("message", what)];
        daemon.wait_for(what, |daemon| daemon.logged(&line));
    };
    logged("decides from now on (drop/hpa.wasm)");

    workshop.write("drop/hpa.wasm", "no policy at all");
    daemon.wait_for("the bad file to be refused", |daemon| {
        daemon.policy("hpa").unwrap()["state"] == "failed"
    });
    let refused = daemon.policy("hpa").unwrap();
    assert!(
        refused["reason"]
            .as_str()
            .unwrap()
            .contains("not WebAssembly"),
        "{refused}"
    );
    assert_eq!(
        refused["version"]["digest"], *file,
        "the last good one stays"
    );
    logged("refused: ");
    let listed = workshop.succeed(&["policy", "list", "--server", &daemon.url]);
    assert!(
        listed.contains("failed") && listed.contains("not WebAssembly"),
        "{listed}"
    );

    fs::remove_file(workshop.path("drop/hpa.wasm")).unwrap();
    daemon.wait_for("the built-in one to decide again", |daemon| {
        digest_of_last(daemon).is_some_and(|digest| digest == built_in)
    });
    logged("retired, its file is gone");
    let why = workshop.succeed(&["why", "default/web", "--server", &daemon.url]);
    assert!(
        why.contains("default/web") && why.contains("policy hpa"),
        "{why}"
    );
    // The arithmetic is part of it.
    for part in [
        "; target ",
        ": ratio ",
        "0.90 to 1.10 changes nothing; samples of ",
    ] {
        assert!(why.contains(part), "no {part:?}: {why}");
    }
    let autoscalers = daemon.get("/v1/autoscalers").unwrap();
    assert!(autoscalers.contains("\"web\""), "{autoscalers}");
    assert_eq!(daemon.get("/v1/records?object=web"), None, "a bad request");
}

#[test]
fn a_policy_close_to_its_budget_is_remarked_on() {
    let workshop = workshop();
    workshop.write("input.json", r#"{"input": {"pods": 20}}"#);
    let answer = workshop.succeed(&["policy", "run", "hpa", "--input", "input.json"]);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let budget = format!("hpa=memory:{}", answer["memoryBytes"]);
    let args = [&ARGS[..], &["--speed", "30", "--policy-budget", &budget]].concat();
    let daemon = Daemon::ready(&workshop, &args);
    daemon.wait_for("a decision that takes most of the budget", |daemon| {
        daemon.policy("hpa").unwrap()["nearBudget"] == true
    });
    let line = [("message", "policy hpa "), ("message", "of its budget")];
    daemon.wait_for("the warning", |daemon| daemon.logged(&line));
    let listed = workshop.succeed(&["policy", "list", "--server", &daemon.url]);
    let line = listed
        .lines()
        .find(|line| line.starts_with("hpa "))
        .unwrap();
    assert!(
        line.contains("above 80% of its budget: raise it with --policy-budget"),
        "{listed}"
    );
}

#[test]
fn it_ends_in_good_order_and_its_records_can_be_replayed() {
    let workshop = workshop();
    let mut daemon = Daemon::ready(&workshop, &[&ARGS[..], &["--speed", "600"]].concat());
    daemon.wait_for("some decisions", |daemon| {
        daemon
            .get("/v1/records?limit=20")
            .is_some_and(|text| text.lines().count() == 20)
    });
    assert_eq!(daemon.terminate(), Some(0));
    let records = fs::read_to_string(workshop.path("day.jsonl")).unwrap();
    assert!(records.ends_with('\n') && records.lines().count() >= 20);
    workshop.succeed(&["replay", "day.jsonl"]);
}

#[test]
fn a_port_in_use_and_a_bad_state_directory_are_told() {
    let workshop = workshop();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = workshop.run(&["run", "--cluster", "sim:day.yaml", "--http", &address]);
    ran.expect(1, &[&address, "--http"]);
    workshop.write("occupied", "a file");
    let args = [
        "run",
        "--cluster",
        "sim:day.yaml",
        "--http",
        "127.0.0.1:0",
        "--state-dir",
        "occupied",
    ];
    workshop.run(&args).expect(1, &["occupied"]);
}
