//! New versions of a policy that fail on real input, on an embedded cluster: refusals,
//! rollbacks, and the decisions meanwhile.

use flyball_tests::guests;
use serde_json::Value;

use crate::support::{Daemon, Workshop};

/// A workload in each of these namespaces, scaled by the policy `mine`.
fn scenario(namespaces: &[&str]) -> String {
    let workload = |namespace: &&str| {
        format!(
            "\
- name: web
  namespace: {namespace}
  replicas: 2
  load: {{formula: 10}}
  autoscaler:
    minReplicas: 1
    maxReplicas: 20
    policies: [{{name: mine}}]
    metrics:
      - type: External
        external:
          metric: {{name: requests-per-second}}
          target: {{type: AverageValue, averageValue: 5}}
"
        )
    };
    let workloads: String = namespaces.iter().map(workload).collect();
    format!("name: Versions\nseed: 1\nduration: 20h\nworkloads:\n{workloads}")
}

/// Starts a daemon on workloads in these namespaces, with a sync period of half a second
/// of real time; `mine` is the plain policy that keeps a state.
fn start(namespaces: &[&str], args: &[&str]) -> (Workshop, Daemon) {
    let workshop = Workshop::new();
    workshop.write("versions.yaml", scenario(namespaces));
    let plain = guests::components("plain").unwrap();
    workshop.write("drop/mine.wasm", &plain["keeps_state"]);
    let daemon = restart(&workshop, args);
    daemon.wait_for("the policy to be compiled", |daemon| {
        mine(daemon)["state"] == "active"
    });
    (workshop, daemon)
}

fn restart(workshop: &Workshop, args: &[&str]) -> Daemon {
    let usual = [
        "--cluster=sim:versions.yaml",
        "--speed=30",
        "--policies-dir=drop",
    ];
    Daemon::ready(workshop, &[&usual[..], args].concat())
}

fn hostile(name: &str) -> Vec<u8> {
    guests::components("hostile").unwrap()[name].clone()
}

/// Returns the policy's entry in the daemon's list.
fn mine(daemon: &Daemon) -> Value {
    daemon.policy("mine").unwrap_or_default()
}

/// Returns the last decision of the policy about `web` in a namespace.
fn decided(daemon: &Daemon, namespace: &str) -> Option<Value> {
    let record = daemon.last_record(&format!("{namespace}/web"))?;
    Some(record["policies"][0].clone())
}

#[test]
fn a_version_that_fails_on_every_recorded_input_is_refused_also_after_a_restart() {
    let (workshop, mut daemon) = start(&["team-a", "team-b"], &[]);
    let good = mine(&daemon)["version"]["digest"].clone();
    for namespace in ["team-a", "team-b"] {
        daemon.wait_for("a decision", |daemon| {
            decided(daemon, namespace).is_some_and(|part| part["version"]["digest"] == good)
        });
    }
    workshop.write("drop/mine.wasm", hostile("trap_at_metric"));
    daemon.wait_for("the file to be judged", |daemon| {
        let listed = mine(daemon);
        let is_judged = listed["state"] != "active" && listed["state"] != "pending";
        is_judged || listed["version"]["digest"] != good
    });
    let check = |daemon: &Daemon| {
        let listed = mine(daemon);
        assert_eq!(listed["state"], "failed", "{listed}");
        let reason = listed["reason"].as_str().unwrap();
        for text in ["recorded inputs", "team-a", "team-b", "PolicyTrapped"] {
            assert!(reason.contains(text), "{reason}");
        }
        assert_eq!(listed["version"]["digest"], good, "{listed}");
    };
    check(&daemon);
    assert_eq!(daemon.terminate(), Some(0));

    // There is no record to try it on yet.
    let mut daemon = restart(&workshop, &[]);
    check(&daemon);
    daemon.wait_for("a decision by the last good version", |daemon| {
        decided(daemon, "team-a").is_some_and(|part| part["version"]["digest"] == good)
    });
    assert_eq!(daemon.terminate(), Some(0));

    // The operator lets it take over: objects that it fails for keep the version before.
    let accepting = [
        "--accept-any-configuration=mine",
        "--policy-rollback-window=0s",
    ];
    let daemon = restart(&workshop, &accepting);
    daemon.wait_for("a decision beside the new version", |daemon| {
        decided(daemon, "team-a")
            .is_some_and(|part| part["version"]["digest"] == good && !part["failed"].is_null())
    });
    assert_ne!(mine(&daemon)["version"]["digest"], good);
}

#[test]
fn an_object_for_which_only_the_new_version_fails_keeps_the_old_one_and_says_so() {
    let (workshop, mut daemon) = start(&["team-a", "team-b"], &["--records=all.jsonl"]);
    let good = mine(&daemon)["version"]["digest"].clone();
    for namespace in ["team-a", "team-b"] {
        daemon.wait_for("a decision", |daemon| {
            decided(daemon, namespace).is_some_and(|part| part["version"]["digest"] == good)
        });
    }
    workshop.write("drop/mine.wasm", hostile("trap_in_team_a"));
    daemon.wait_for(
        "a decision of each by the new version or beside it",
        |daemon| {
            let other = |part: Value| part["version"]["digest"] != good;
            decided(daemon, "team-b").is_some_and(other)
                && decided(daemon, "team-a").is_some_and(|part| !part["failed"].is_null())
        },
    );
    let new = mine(&daemon)["version"]["digest"].clone();
    assert_ne!(new, good);
    let record = daemon.last_record("team-a/web").unwrap();
    let part = &record["policies"][0];
    assert_eq!(part["version"]["digest"], good, "{part}");
    assert_eq!(part["previous"], true, "{part}");
    assert_eq!(part["failed"]["version"]["digest"], new, "{part}");
    assert_eq!(part["context"]["state"], "first", "{part}");
    let words = "the version before, 1.0.0";
    for field in ["conditions", "events"] {
        assert!(record[field].to_string().contains(words), "{record}");
    }
    let autoscalers: Value = serde_json::from_str(&daemon.get("/v1/autoscalers").unwrap()).unwrap();
    let mut autoscalers = autoscalers.as_array().unwrap().iter();
    let own = autoscalers
        .find(|one| one["namespace"] == "team-a")
        .unwrap();
    assert_eq!(own["status"]["policies"][0]["digest"], good, "{own}");

    let listed = workshop.succeed(&["policy", "list", "--server", &daemon.url]);
    for words in ["recorded inputs, it fails on ", "(Deployment team-a/web)"] {
        assert!(listed.contains(words), "{listed}");
    }
    let why = ["why", "team-a/web", "-n", "1", "--server", &daemon.url];
    let why = workshop.succeed(&why);
    assert!(why.contains("the version before, mine "), "{why}");
    assert_eq!(daemon.terminate(), Some(0));
    let replayed = workshop.succeed(&["replay", "all.jsonl", "--policies-dir", "drop"]);
    assert!(replayed.contains(" 0 different"), "{replayed}");

    // A restart changes nothing.
    let daemon = restart(&workshop, &[]);
    daemon.wait_for("a decision about team-a", |daemon| {
        decided(daemon, "team-a").is_some_and(|part| part["version"]["digest"] == good)
    });
}

#[test]
fn a_version_that_fails_for_all_after_it_took_over_is_rolled_back() {
    let (workshop, mut daemon) = start(&["team-a", "team-b"], &[]);
    let good = mine(&daemon)["version"]["digest"].clone();
    let bad = hostile("trap_at_own_answer");
    for namespace in ["team-a", "team-b"] {
        daemon.wait_for("a decision", |daemon| {
            decided(daemon, namespace).is_some_and(|part| part["version"]["digest"] == good)
        });
    }
    workshop.write("drop/mine.wasm", &bad);
    daemon.wait_for("the rollback", |daemon| {
        mine(daemon)["state"] == "rolledBack"
    });
    let digest = flyball_sandbox::digest(&bad);
    for namespace in ["team-a", "team-b"] {
        let object = format!("{namespace}/web");
        daemon.wait_for("the event", |daemon| {
            let records = daemon.records(&object);
            let events = records.iter().map(|record| record["events"].to_string());
            let events: String = events.collect();
            events.contains("PolicyRolledBack") && events.contains("PolicyStateReset")
        });
        let records = daemon.records(&object);
        let by_the_new_one = records
            .iter()
            .filter(|record| record["policies"][0]["version"]["digest"] == digest.as_str());
        assert!(by_the_new_one.count() > 0, "it decided at first");
        // At the start the policy may not be compiled yet.
        let mut decided_by_good = records
            .iter()
            .skip_while(|record| record["policies"][0]["version"]["digest"] != good);
        assert!(
            decided_by_good.all(|record| !record["verdict"]["to"].is_null()),
            "none was held"
        );
        let last = decided(&daemon, namespace).unwrap();
        assert_eq!(last["version"]["digest"], good, "{last}");
    }
    let words = [
        ("message", "policy mine 2.0.0"),
        ("message", "rolled back: version 2.0.0"),
    ];
    assert!(daemon.logged(&words));
    let check = |daemon: &Daemon| {
        let listed = workshop.succeed(&["policy", "list", "--server", &daemon.url]);
        for words in [
            "rolledBack",
            "quarantined for all objects",
            "last good copy of",
        ] {
            assert!(listed.contains(words), "{listed}");
        }
        assert_eq!(mine(daemon)["version"]["digest"], good);
    };
    check(&daemon);
    assert_eq!(daemon.terminate(), Some(0));

    let daemon = restart(&workshop, &[]);
    check(&daemon);
    let plain = guests::components("plain").unwrap();
    workshop.write("drop/mine.wasm", &plain["three"]);
    daemon.wait_for("the changed file", |daemon| {
        mine(daemon)["state"] == "active"
    });
}

#[test]
fn a_rollback_is_done_by_hand() {
    let (workshop, daemon) = start(&["team-a"], &[]);
    let good = mine(&daemon)["version"]["digest"].clone();
    let none = ["policy", "rollback", "mine"];
    workshop.run(&none).expect(1, &["no version before"]);
    let plain = guests::components("plain").unwrap();
    workshop.write("drop/mine.wasm", &plain["three"]);
    daemon.wait_for("a decision by the new version", |daemon| {
        decided(daemon, "team-a").is_some_and(|part| part["version"]["digest"] != good)
    });
    let printed = workshop.succeed(&["policy", "rollback", "mine"]);
    assert!(
        printed.contains("is refused until its file changes"),
        "{printed}"
    );
    daemon.wait_for("the daemon to follow", |daemon| {
        mine(daemon)["state"] == "rolledBack"
            && decided(daemon, "team-a").is_some_and(|part| part["version"]["digest"] == good)
    });
    let reason = mine(&daemon)["reason"].to_string();
    assert!(reason.contains("by hand"), "{reason}");
    workshop.run(&none).expect(1, &["refused already"]);
    let nobody = ["policy", "rollback", "nobody"];
    workshop.run(&nobody).expect(1, &["nobody", "--state-dir"]);
}
