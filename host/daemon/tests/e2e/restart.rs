//! Policies after a restart of the daemon, and daemons that share a private directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Daemon, SCENARIO, Workshop};

fn start(workshop: &Workshop, policies: &str) -> Daemon {
    let args = [
        "--cluster",
        "sim:day.yaml",
        "--speed",
        "30",
        "--policies-dir",
        policies,
    ];
    Daemon::ready(workshop, &args)
}

fn workshop() -> Workshop {
    let workshop = Workshop::new();
    workshop.write("day.yaml", SCENARIO);
    fs::create_dir(workshop.path("drop")).unwrap();
    fs::create_dir(workshop.path("other")).unwrap();
    workshop
}

fn hpa(daemon: &Daemon) -> Value {
    loaded(daemon, "hpa")
}

/// Returns a policy once its file is loaded, which may be after the daemon is ready.
fn loaded(daemon: &Daemon, name: &str) -> Value {
    let is_loaded = |policy: &Value| policy["state"] != "pending";
    daemon.wait_for("a policy to be loaded", |daemon| {
        daemon.policy(name).as_ref().is_some_and(is_loaded)
    });
    daemon.policy(name).unwrap()
}

#[test]
fn a_file_that_breaks_while_the_daemon_is_down_leaves_its_last_good_version() {
    let workshop = workshop();
    workshop.write("drop/hpa.wasm", flyball_policies::PREDICTIVE);
    let mut first = start(&workshop, "drop");
    let good = hpa(&first)["version"]["digest"].clone();
    assert_eq!(hpa(&first)["state"], "active");
    assert_eq!(first.terminate(), Some(0));

    workshop.write("drop/hpa.wasm", "no policy at all");
    let mut second = start(&workshop, "drop");
    let restored = hpa(&second);
    assert_eq!(restored["state"], "failed", "{restored}");
    assert_eq!(restored["source"]["kind"], "lastGood", "{restored}");
    assert_eq!(restored["version"]["digest"], good, "{restored}");
    second.wait_for("a decision by the last good version", |daemon| {
        let record = daemon.last_record("default/web");
        record.is_some_and(|record| record["policies"][0]["version"]["digest"] == good)
    });
    let listed = workshop.succeed(&["policy", "list", "--server", &second.url]);
    for text in ["failed", "not WebAssembly", "last good copy of"] {
        assert!(listed.contains(text), "{listed}");
    }
    assert_eq!(second.terminate(), Some(0));

    // After its file was removed, the last good version is removed as well.
    fs::remove_file(workshop.path("drop/hpa.wasm")).unwrap();
    let mut third = start(&workshop, "drop");
    assert_eq!(hpa(&third)["source"]["kind"], "builtIn");
    assert_eq!(third.terminate(), Some(0));
    workshop.write("drop/hpa.wasm", "no policy at all");
    let fourth = start(&workshop, "drop");
    assert_eq!(hpa(&fourth)["source"]["kind"], "builtIn");
}

#[test]
fn a_last_good_version_that_others_could_have_written_is_not_taken() {
    let workshop = workshop();
    workshop.write("drop/hpa.wasm", flyball_policies::PREDICTIVE);
    let mut first = start(&workshop, "drop");
    assert_eq!(hpa(&first)["source"]["kind"], "file");
    assert_eq!(first.terminate(), Some(0));

    workshop.write("drop/hpa.wasm", "no policy at all");
    let kept = fs::read_dir(workshop.path("state/last-good")).unwrap();
    let kept: Vec<_> = kept.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    fs::set_permissions(&kept[0], Permissions::from_mode(0o777)).unwrap();
    let second = start(&workshop, "drop");
    let refused = hpa(&second);
    assert_eq!(refused["state"], "failed", "{refused}");
    assert_ne!(refused["source"]["kind"], "lastGood", "{refused}");
    assert_eq!(
        fs::metadata(&kept[0]).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn daemons_that_share_a_private_directory_forget_nothing_of_each_other() {
    let workshop = workshop();
    workshop.write("drop/hpa.wasm", flyball_policies::PREDICTIVE);
    let mut one = start(&workshop, "drop");
    let good = hpa(&one)["version"]["digest"].clone();

    // One daemon with other policies, and one with the same.
    let mut other = start(&workshop, "other");
    let mut same = start(&workshop, "drop");
    assert_eq!(hpa(&other)["source"]["kind"], "builtIn");
    workshop.write("other/extra.wasm", flyball_policies::PREDICTIVE);
    other.wait_for("the other's own policy", |daemon| {
        daemon
            .policy("extra")
            .is_some_and(|extra| extra["state"] == "active")
    });
    workshop.write("drop/more.wasm", flyball_policies::PREDICTIVE);
    for daemon in [&one, &same] {
        daemon.wait_for("one policy more", |daemon| {
            daemon
                .policy("more")
                .is_some_and(|more| more["state"] == "active")
        });
    }
    for daemon in [&mut other, &mut same, &mut one] {
        assert_eq!(daemon.terminate(), Some(0));
    }

    for file in ["drop/hpa.wasm", "drop/more.wasm", "other/extra.wasm"] {
        workshop.write(file, "no policy at all");
    }
    let one = start(&workshop, "drop");
    let other = start(&workshop, "other");
    for (daemon, name) in [(&one, "hpa"), (&one, "more"), (&other, "extra")] {
        let restored = loaded(daemon, name);
        assert_eq!(restored["source"]["kind"], "lastGood", "{restored}");
        assert_eq!(restored["version"]["digest"], good, "{restored}");
    }
}
