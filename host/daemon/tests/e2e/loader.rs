//! Files that harm their compiler: the daemon refuses them by name, and is otherwise
//! unaffected.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flyball_tests::{composed, guests};
use serde_json::Value;

use crate::support::{Daemon, SCENARIO, WAIT_TIMEOUT, Workshop, wait_for};

fn start(workshop: &Workshop, more: &[&str]) -> Daemon {
    // It runs for as long as a busy machine may need.
    let scenario = SCENARIO.replace("duration: 2h", "duration: 20h");
    workshop.write("day.yaml", scenario);
    fs::create_dir_all(workshop.path("drop")).unwrap();
    let args = ["--cluster", "sim:day.yaml", "--speed", "30"];
    Daemon::ready(
        workshop,
        &[&args[..], &["--policies-dir", "drop"], more].concat(),
    )
}

fn state(daemon: &Daemon, name: &str) -> Value {
    daemon.policy(name).unwrap_or_default()["state"].clone()
}

#[track_caller]
fn wait_for_refusal(daemon: &Daemon, name: &str, words: &str) {
    daemon.wait_for(&format!("{name} to be refused: {words}"), |daemon| {
        let policy = daemon.policy(name).unwrap_or_default();
        let reason = policy["reason"].as_str().unwrap_or_default();
        policy["state"] == "failed" && reason.contains(words)
    });
}

/// A file about a process.
fn about(process: &str, file: &str) -> String {
    fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default()
}

/// Returns the fields of `/proc/PID/stat` after the program's name; the first is the
/// state.
fn stat(process: &str) -> Vec<String> {
    let stat = about(process, "stat");
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    fields.split_ascii_whitespace().map(String::from).collect()
}

/// Checks the limits that the kernel enforces on a child; a child limits itself a moment
/// after its start.
#[track_caller]
fn wait_for_limits(daemon: &Daemon, most_mib: u64) {
    /// Field 19 of the file.
    const NICE: usize = 16;
    daemon.wait_for("a child under limits", |daemon| {
        daemon.children().iter().any(|child| {
            let limits = about(child, "limits");
            let memory = limits
                .lines()
                .find(|line| line.starts_with("Max data size"));
            // Soft limit, hard limit, unit.
            let memory = memory.map(|line| line.split_ascii_whitespace().rev().skip(1));
            let bytes: Vec<u64> = memory
                .into_iter()
                .flatten()
                .take(2)
                .filter_map(|bytes| bytes.parse().ok())
                .collect();
            about(child, "oom_score_adj").trim() == "1000"
                && stat(child).get(NICE).is_some_and(|nice| nice == "19")
                && matches!(bytes[..], [hard, soft] if hard == most_mib << 20 && soft <= hard)
        })
    });
}

/// Returns the peak of the private memory, in bytes, of all children together while
/// `work` ran.
fn most_memory_of_children(daemon: &Daemon, work: impl FnOnce()) -> u64 {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                let children = daemon.children();
                most = most.max(children.iter().map(|child| private_memory(child)).sum());
                thread::sleep(Duration::from_millis(5));
            }
            most
        });
        let ended = Done(&done);
        work();
        drop(ended);
        sampler.join().unwrap()
    })
}

/// Returns the private memory of a process, in bytes.
fn private_memory(process: &str) -> u64 {
    let status = about(process, "status");
    let kib = status.lines().find_map(|line| {
        let amount = line.strip_prefix("RssAnon:")?;
        amount.trim().trim_end_matches("kB").trim().parse().ok()
    });
    kib.unwrap_or(0_u64) << 10
}

/// Replaces the active policy, and waits for a decision of the new one.
#[track_caller]
fn swap(workshop: &Workshop, daemon: &Daemon, component: &[u8]) {
    let digest = flyball_sandbox::digest(component);
    workshop.write("copy", component);
    fs::rename(workshop.path("copy"), workshop.path("drop/hpa.wasm")).unwrap();
    daemon.wait_for("a decision of the new policy", |daemon| {
        let record = daemon.last_record("default/web").unwrap_or_default();
        record["policies"][0]["version"]["digest"] == digest.as_str()
    });
}

#[test]
fn what_harms_its_compiler_is_refused_while_another_policy_is_swapped() {
    let workshop = Workshop::new();
    let limits = [
        "--policy-compile-time",
        "5s",
        "--policy-compile-memory",
        "192MiB",
    ];
    let daemon = start(&workshop, &limits);
    let hostile = guests::components("hostile").unwrap();
    let most = most_memory_of_children(&daemon, || {
        workshop.write("drop/endless.wasm", &hostile["small_blocks"]);
        workshop.write("drop/greedy.wasm", &hostile["wide_blocks"]);
        workshop.write("drop/broken.wasm", composed::broken().unwrap());
        workshop.write("drop/composed.wasm", composed::composed().unwrap());
        wait_for_limits(&daemon, 192);
        swap(&workshop, &daemon, flyball_policies::PREDICTIVE);
        wait_for_refusal(&daemon, "greedy", "takes more than 192 MiB of memory");
        wait_for_refusal(&daemon, "broken", "PolicyTrapped");
        wait_for_refusal(&daemon, "endless", "takes more than 5 s of CPU time");
        daemon.wait_for("the composed one", |daemon| {
            state(daemon, "composed") == "active"
        });
        daemon.wait_for("no child", |daemon| daemon.children().is_empty());
    });
    // A child has some memory that is not counted: pages that the dynamic linker wrote.
    let uncharged = 32 << 20;
    assert!(most > 64 << 20, "children had {most} bytes at most");
    assert!(most < (192 << 20) + uncharged, "children had {most} bytes");

    // The same with a manual command.
    let endless = workshop.path("drop/endless.wasm");
    let args = ["policy", "validate", endless.to_str().unwrap()];
    workshop
        .run(&[&args[..], &["--policy-compile-time", "1s"]].concat())
        .expect(3, &["not valid", "takes more than 1 s of CPU time"]);
}

#[test]
fn a_child_that_is_killed_and_a_daemon_that_is_leave_nothing_behind() {
    let workshop = Workshop::new();
    let mut daemon = start(&workshop, &[]);
    let endless = &guests::components("hostile").unwrap()["small_blocks"];
    workshop.write("drop/killed.wasm", endless);
    daemon.wait_for("a child", |daemon| !daemon.children().is_empty());
    for child in daemon.children() {
        let kill = Command::new("kill").args(["-KILL", &child]).status();
        assert!(kill.unwrap().success());
    }
    wait_for_refusal(&daemon, "killed", "its compiler ended: it was killed");
    swap(&workshop, &daemon, flyball_policies::PREDICTIVE);
    assert!(daemon.runs());

    workshop.write(
        "drop/more.wasm",
        [endless.as_slice(), b"\0\x02\x01x"].concat(),
    );
    daemon.wait_for("another child", |daemon| !daemon.children().is_empty());
    let children = daemon.children();
    drop(daemon);
    wait_for("its children to end with it", WAIT_TIMEOUT, || {
        // A zombie has ended; the daemon need not collect it.
        let gone = |child: &String| stat(child).first().is_none_or(|state| state == "Z");
        children.iter().all(gone)
    });
}
