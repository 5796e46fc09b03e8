//! Policies that misbehave on a real cluster: reports and fallbacks.

use flyball_tests::guests;
use serde_json::{Value, json};

use crate::support::{Daemon, WAIT_TIMEOUT, wait_for};
use crate::test_cluster::{TestCluster, queue};

#[test]
fn a_policy_that_fails_is_named_everywhere_and_the_built_in_one_decides_instead() {
    let test_cluster = TestCluster::new();
    let hostile = guests::components("hostile").unwrap();
    let _metrics = test_cluster.with_queue(100);
    test_cluster
        .workshop
        .write("drop/loop.wasm", &hostile["decide_loop"]);
    test_cluster
        .workshop
        .write("drop/thirteen.wasm", &hostile["trap_at_thirteen"]);
    let policy = |name: &str| json!({ "policies": [{ "name": name }] });
    let watched = json!({ "policies": [{ "name": "thirteen" }], "mode": "Observe" });
    // Scaled by the fallback, asked at a size at which it traps, and never asked.
    for (name, replicas, more) in [
        ("looped", 7, policy("loop")),
        ("watched", 13, watched),
        ("absent", 7, policy("nobody")),
    ] {
        test_cluster.deploy(name, replicas);
        test_cluster.autoscale(name, &queue(), &more);
    }
    let daemon = test_cluster.daemon(&["--on-policy-failure", "fallback"]);
    daemon.wait_until_ready();

    // Refused before it is active.
    let state = |daemon: &Daemon, name: &str| daemon.policy(name).unwrap_or_default();
    let refused = state(&daemon, "loop");
    assert_eq!(refused["state"], "failed", "{refused}");
    assert!(
        refused["reason"].as_str().unwrap().contains("canary"),
        "{refused}"
    );
    test_cluster.wait_for_replicas("looped", 10);
    test_cluster.wait_for_replicas("absent", 10);
    for (name, policy) in [("looped", "loop"), ("absent", "nobody")] {
        let message =
            test_cluster.wait_for_condition(name, "PoliciesHealthy", "False", "PolicyMissing");
        assert!(message.contains(&format!("policy {policy}:")), "{message}");
        assert!(message.contains("built-in policy hpa"), "{message}");
        test_cluster.wait_for_event(name, "PolicyMissing", &format!("`{policy}`"));
        test_cluster.wait_for_event(name, "SuccessfulRescale", "policy: hpa");
    }

    // Passes the trial, and is quarantined later.
    daemon.wait_for("the quarantine", |daemon| {
        state(daemon, "thirteen")["state"] == "quarantined"
    });
    let line = [
        ("message", "policy thirteen "),
        ("message", "quarantined until"),
    ];
    daemon.wait_for("the warning", |daemon| daemon.logged(&line));
    let quarantined = state(&daemon, "thirteen");
    let reason = quarantined["reason"].as_str().unwrap();
    assert!(reason.contains("unreachable"), "{quarantined}");
    assert!(quarantined["until"].as_i64() > Some(0), "{quarantined}");
    assert!(quarantined["failures"].as_i64() >= Some(3), "{quarantined}");
    test_cluster.wait_for_event("watched", "PolicyTrapped", "policy thirteen");
    let message =
        test_cluster.wait_for_condition("watched", "PoliciesHealthy", "False", "PolicyQuarantined");
    assert!(
        message.contains("policy thirteen:") && message.contains(" until 20"),
        "{message}"
    );

    let list = |format: &str| {
        let list = ["policy", "list", "--server", &daemon.url, "-o", format];
        test_cluster.workshop.succeed(&list)
    };
    let text = list("text");
    let line = |name: &str| {
        let mut lines = text.lines();
        lines
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    let looped = line("loop ");
    assert!(
        looped.contains("failed") && looped.contains("canary"),
        "{looped}"
    );
    let thirteen = line("thirteen ");
    let until = thirteen.split_once("until ").and_then(|(_, rest)| {
        let (until, _) = rest.split_once(": ")?;
        until.parse::<jiff::Timestamp>().ok()
    });
    assert!(
        thirteen.contains("quarantined") && until.is_some(),
        "{thirteen}"
    );
    let listed: Vec<Value> = serde_json::from_str(&list("json")).unwrap();
    let states: Vec<_> = listed
        .iter()
        .map(|policy| {
            (
                policy["name"].as_str().unwrap(),
                policy["state"].as_str().unwrap(),
            )
        })
        .collect();
    for expected in [
        ("hpa", "active"),
        ("loop", "failed"),
        ("thirteen", "quarantined"),
    ] {
        assert!(states.contains(&expected), "{states:?}");
    }
    assert_eq!(test_cluster.replicas("watched"), "13");

    // After its file has changed, earlier failures do not count.
    test_cluster.workshop.write(
        "drop/thirteen.wasm",
        &guests::components("plain").unwrap()["two"],
    );
    test_cluster.wait_for_condition("watched", "PoliciesHealthy", "True", "PoliciesAnswered");
    wait_for("the new policy to be in the status", WAIT_TIMEOUT, || {
        test_cluster.field("ra/watched", ".status.policies[0].desiredReplicas") == "2"
    });
}
