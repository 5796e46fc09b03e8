//! Policies that misbehave on a real cluster: what is reported, and what decides instead.

use flyball_tests::guests;
use serde_json::{Value, json};

use crate::scene::{Scene, queue};
use crate::support::{Daemon, PATIENCE, wait_for};

#[test]
fn a_policy_that_fails_is_named_everywhere_and_the_built_in_one_decides_instead() {
    let scene = Scene::new();
    let hostile = guests::components("hostile").unwrap();
    let _metrics = scene.with_queue(100);
    scene
        .workshop
        .write("drop/loop.wasm", &hostile["decide_loop"]);
    scene
        .workshop
        .write("drop/thirteen.wasm", &hostile["trap_at_thirteen"]);
    let policy = |name: &str| json!({ "policies": [{ "name": name }] });
    let watched = json!({ "policies": [{ "name": "thirteen" }], "mode": "Observe" });
    // Scaled by the stand-in, asked at a size at which it traps, and asked for never.
    for (name, replicas, more) in [
        ("looped", 7, policy("loop")),
        ("watched", 13, watched),
        ("absent", 7, policy("nobody")),
    ] {
        scene.deploy(name, replicas);
        scene.autoscale(name, &queue(), &more);
    }
    let daemon = scene.daemon(&["--on-policy-failure", "fallback"]);
    daemon.wait_until_ready();

    // Refused before it ever decides.
    let state = |daemon: &Daemon, name: &str| daemon.policy(name).unwrap_or_default();
    let refused = state(&daemon, "loop");
    assert_eq!(refused["state"], "failed", "{refused}");
    assert!(
        refused["reason"].as_str().unwrap().contains("canary"),
        "{refused}"
    );
    scene.wait_for_replicas("looped", 10);
    scene.wait_for_replicas("absent", 10);
    for (name, policy) in [("looped", "loop"), ("absent", "nobody")] {
        let message = scene.wait_for_condition(name, "PoliciesHealthy", "False", "PolicyMissing");
        assert!(message.contains(&format!("policy {policy}:")), "{message}");
        assert!(message.contains("built-in policy hpa"), "{message}");
        scene.wait_for_event(name, "PolicyMissing", &format!("`{policy}`"));
        scene.wait_for_event(name, "SuccessfulRescale", "policy: hpa");
    }

    // Good at first sight, and quarantined for what it does later.
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
    scene.wait_for_event("watched", "PolicyTrapped", "policy thirteen");
    let message =
        scene.wait_for_condition("watched", "PoliciesHealthy", "False", "PolicyQuarantined");
    assert!(
        message.contains("policy thirteen:") && message.contains("s more"),
        "{message}"
    );

    let list = |format: &str| {
        let list = ["policy", "list", "--server", &daemon.url, "-o", format];
        scene.workshop.succeed(&list)
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
    assert!(
        thirteen.contains("quarantined") && thirteen.contains("until 20"),
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
    assert_eq!(scene.replicas("watched"), "13");

    // Once its file is another one, nothing is held against it.
    scene.workshop.write(
        "drop/thirteen.wasm",
        &guests::components("plain").unwrap()["two"],
    );
    scene.wait_for_condition("watched", "PoliciesHealthy", "True", "PoliciesAnswered");
    wait_for("the new policy to be in the status", PATIENCE, || {
        scene.field("ra/watched", ".status.policies[0].desiredReplicas") == "2"
    });
}
