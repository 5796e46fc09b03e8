//! Several daemons on one cluster: those without leader election notice each other, and a
//! daemon that follows names the leader.

use serde_json::json;

use crate::deployed;
use crate::support::{Daemon, WAIT_TIMEOUT, wait_for};
use crate::test_cluster::{TestCluster, queue};

/// Returns the names of the Leases of presence.
fn presences(test_cluster: &TestCluster) -> Vec<String> {
    let leases = ["get", "leases", "-n=kube-system", "-o=name"];
    let leases = test_cluster.cluster.kubectl(&leases).unwrap();
    let of_presence = leases
        .lines()
        .filter(|name| name.contains("flyball-presence-"));
    of_presence.map(str::to_owned).collect()
}

/// Waits until a daemon logs this about the other one.
#[track_caller]
fn wait_for_log(daemon: &Daemon, message: &str, other: &Daemon) {
    // The identity of a daemon has its process id.
    let process = format!("_{}_", other.id());
    daemon.wait_for(message, |daemon| {
        daemon.logged(&[("message", message), ("message", &process)])
    });
}

#[test]
fn daemons_without_an_election_notice_each_other_and_a_follower_names_the_leader() {
    let test_cluster = TestCluster::new();
    let _metrics = test_cluster.with_queue(20);
    test_cluster.deploy("web", 2);
    test_cluster.autoscale("web", &queue(), &json!({}));
    let beside = "another daemon is at work without leader election";

    let mut first = test_cluster.daemon(&[]);
    wait_for("the first one's presence", WAIT_TIMEOUT, || {
        presences(&test_cluster).len() == 1
    });
    let mut second = test_cluster.daemon(&[]);
    wait_for_log(&first, beside, &second);
    wait_for_log(&second, beside, &first);
    assert_eq!(second.terminate(), Some(0));
    assert_eq!(presences(&test_cluster).len(), 1, "its Lease is deleted");
    wait_for_log(&first, "is gone", &second);

    let leader = test_cluster.daemon(&["--leader-elect"]);
    leader.wait_for("a decision", |daemon| {
        daemon.last_record("default/web").is_some()
    });
    wait_for_log(&first, "this one takes no part in the election", &leader);
    assert_eq!(first.terminate(), Some(0));
    assert!(presences(&test_cluster).is_empty());

    let follower = test_cluster.daemon(&["--leader-elect"]);
    let identity = format!("_{}_", leader.id());
    follower.wait_for("the leader's name", |daemon| {
        daemon.logged(&[
            ("message", "another daemon leads: this one follows"),
            ("leader", &identity),
        ])
    });
    for object in ["default/web", "nodes", "node/node-0"] {
        let why = ["why", object, "--server", &follower.url];
        let ran = test_cluster.workshop.run(&why);
        ran.expect(1, &["does not lead", &identity]);
    }
    test_cluster
        .workshop
        .succeed(&["why", "default/web", "--server", &leader.url]);
}

#[test]
fn without_rights_for_leases_nothing_is_warned_of() {
    let test_cluster = TestCluster::new();
    let _metrics = test_cluster.with_queue(20);
    test_cluster.deploy("web", 2);
    test_cluster.autoscale("web", &queue(), &json!({}));
    test_cluster.apply(include_str!("../../../kubernetes/deploy/flyball.yaml"));
    // Its rights for leases are in a namespace of its own.
    let account = deployed::service_account(&test_cluster.cluster, &test_cluster.workshop);
    let mut daemon = test_cluster.daemon_with(&account, &[]);
    daemon.wait_for("a decision", |daemon| {
        daemon.last_record("default/web").is_some()
    });
    assert!(
        !daemon.logged(&[("message", "ease")]),
        "no word about Leases"
    );
    assert!(
        !daemon.logged(&[("problem", "ease")]),
        "no word about Leases"
    );
    assert!(presences(&test_cluster).is_empty());
    assert_eq!(daemon.terminate(), Some(0));
}
