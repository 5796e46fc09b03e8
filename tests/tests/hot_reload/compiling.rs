//! Files that can't be compiled: they are refused by name, and nothing else is affected.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flyball_sandbox::{CompilerOptions, PolicyState, Registry, digest};
use flyball_tests::{composed, guests};

use super::{Home, ask, compiler, reason, status, wait_for_answer, wait_for_failure, wait_until};

/// Memory in which every well-behaved guest can be compiled.
const MEMORY: u64 = 160 << 20;

fn start(home: &Home, options: CompilerOptions) -> Registry {
    home.put("web.wasm", &home.plain["two"]);
    let registry = home.start_compiling(options, |_| {});
    wait_for_answer(&registry, "web", 2);
    registry
}

/// Returns the process ids of compilers of files whose path has this prefix: each has its
/// file as standard input.
pub(super) fn children(path: &Path) -> BTreeSet<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|process| {
        let input = fs::read_link(process.path().join("fd/0")).ok()?;
        let begins = input.to_str()?.starts_with(path.to_str()?);
        begins.then(|| process.file_name().to_string_lossy().into_owned())
    });
    processes.collect()
}

#[test]
fn one_that_takes_for_ever_or_eats_memory_is_refused_while_another_is_swapped() {
    let home = Home::new();
    let registry = start(
        &home,
        CompilerOptions {
            cpu: Duration::from_secs(4),
            memory_bytes: Some(MEMORY),
            ..compiler()
        },
    );
    home.put("endless.wasm", &home.hostile["small_blocks"]);
    home.put("greedy.wasm", &home.hostile["wide_blocks"]);
    wait_until("the hostile ones to be compiled", || {
        ["endless", "greedy"]
            .iter()
            .all(|name| status(&registry, name).is_some())
    });
    assert_eq!(ask(&registry, "web"), Ok(2));
    home.put("web.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "web", 3);

    wait_for_failure(&registry, "greedy", "takes more than 160 MiB of memory");
    wait_for_failure(&registry, "endless", "takes more than 4 s of CPU time");
    // They are known by their content, and a repaired file is activated.
    registry.rescan();
    home.put("greedy.wasm", &home.plain["two"]);
    home.put("endless.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "greedy", 2);
    wait_for_answer(&registry, "endless", 3);
}

#[test]
fn a_child_that_is_killed_is_the_end_of_its_file_alone() {
    let home = Home::new();
    let registry = start(&home, compiler());
    home.put("slow.wasm", &home.hostile["small_blocks"]);
    let file = home.file("slow.wasm");
    wait_until("the child", || !children(&file).is_empty());
    home.put("web.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "web", 3);
    for child in children(&file) {
        let kill = Command::new("kill").args(["-KILL", &child]).status();
        assert!(kill.unwrap().success());
    }
    wait_for_failure(&registry, "slow", "its compiler ended: it was killed");
    assert_eq!(ask(&registry, "web"), Ok(3));
    // It may have been killed by mistake.
    home.put("slow.wasm", &home.plain["two"]);
    wait_for_answer(&registry, "slow", 2);
}

/// Returns the CPU time of a process so far, in hundredths of a second, and whether it is
/// stopped.
pub(super) fn progress(process: &str) -> Option<(u64, bool)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<_> = fields.split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?, fields.first()? == &"T"))
}

/// Returns a policy that answers 5 and takes a few seconds to compile.
fn slow() -> Vec<u8> {
    guests::of_small_blocks(12_000).unwrap()
}

#[test]
fn one_that_takes_seconds_is_stopped_for_others_and_goes_on() {
    let home = Home::new();
    let registry = start(&home, compiler());
    home.put("slow.wasm", &slow());
    let file = home.file("slow.wasm");
    let is = |holds: fn((u64, bool)) -> bool| {
        let mut progress = children(&file)
            .into_iter()
            .filter_map(|child| progress(&child));
        progress.any(holds)
    };
    // From a tenth of a second on it is stopped for policies that have used less: six of
    // them run for a while each.
    wait_until("it to have run for a while", || is(|(ticks, _)| ticks > 10));
    for n in 0..6 {
        let component = [&home.hostile["small_blocks"][..], &[0, 2, 1, n]].concat();
        home.put(&format!("endless-{n}.wasm"), &component);
    }
    wait_until("it to be stopped", || is(|(_, is_stopped)| is_stopped));
    wait_for_answer(&registry, "slow", 5);
}

/// As after an upgrade: the cache has no code for this engine.
#[test]
fn a_last_good_copy_that_takes_seconds_keeps_no_other_file_waiting() {
    let home = Home::new();
    let registry = start(&home, compiler());
    home.put("slow.wasm", &slow());
    wait_for_answer(&registry, "slow", 5);
    registry.rescan();
    drop(registry);
    fs::remove_dir_all(home.root.path().join("compiled")).unwrap();
    home.put("slow.wasm", b"no policy");
    let registry = home.open(compiler(), |_| {});
    let copies = home.root.path().join("last-good");
    wait_until("a compiler that reads the copy itself", || {
        !children(&copies).is_empty()
    });
    wait_for_answer(&registry, "web", 2);
    let listed = status(&registry, "slow").unwrap();
    assert_eq!(listed.source, None, "it is still compiled");
    wait_until("the last good copy", || ask(&registry, "slow") == Ok(5));
    assert!(
        reason(&registry, "slow")
            .unwrap()
            .contains("not WebAssembly")
    );

    // A new version is compared with it once it is compiled.
    drop(registry);
    fs::remove_dir_all(home.root.path().join("compiled")).unwrap();
    home.put("slow.wasm", &home.plain["three"]);
    let registry = home.start_compiling(compiler(), |_| {});
    assert_eq!(ask(&registry, "slow"), Ok(3));
    let previous = status(&registry, "slow").unwrap().previous.unwrap();
    assert_eq!(*previous.digest, *digest(&slow()));

    // And the previous version is added when it is compiled.
    drop(registry);
    fs::remove_dir_all(home.root.path().join("compiled")).unwrap();
    let registry = home.start_compiling(compiler(), |_| {});
    assert_eq!(ask(&registry, "slow"), Ok(3));
    assert_eq!(status(&registry, "slow").unwrap().previous, None);
    wait_until("the version before", || {
        let previous = status(&registry, "slow").unwrap().previous;
        previous.is_some_and(|previous| *previous.digest == *digest(&slow()))
    });
}

/// Any number of endless compilations must not delay one that takes milliseconds.
#[test]
fn those_that_take_for_ever_keep_no_other_waiting() {
    let home = Home::new();
    let registry = start(&home, compiler());
    let slow: Vec<String> = (0..8).map(|n| format!("slow-{n}")).collect();
    let component = &home.hostile["small_blocks"];
    for (name, n) in slow.iter().zip(0..) {
        // A custom section makes each of them a different file.
        let variant = [component, &[0, 2, 1, n][..]].concat();
        home.put(&format!("{name}.wasm"), &variant);
    }
    let pending = |name: &String| {
        status(&registry, name).is_some_and(|status| status.state == PolicyState::Pending)
    };
    wait_until("them to be compiled", || slow.iter().all(pending));
    for (guest, replicas) in [("three", 3), ("two", 2)] {
        home.put("web.wasm", &home.plain[guest]);
        wait_for_answer(&registry, "web", replicas);
    }
    assert!(slow.iter().all(pending), "they still are");
    let all = home.file("slow-");
    // A zombie's standard input is closed, so it does not count.
    assert!(children(&all).len() <= 6, "two run, and four are stopped");

    // Nothing is compiled that nobody wants any more.
    for name in &slow {
        fs::remove_file(home.file(&format!("{name}.wasm"))).unwrap();
    }
    wait_until("the children to be gone", || children(&all).is_empty());
}

#[test]
fn components_that_pass_text_to_each_other_are_one_policy() {
    let home = Home::new();
    let registry = start(&home, compiler());
    home.put("composed.wasm", &composed::composed().unwrap());
    wait_for_answer(&registry, "composed", 5);
    home.put("broken.wasm", &composed::broken().unwrap());
    home.put("web.wasm", &home.plain["three"]);
    wait_for_failure(&registry, "broken", "PolicyTrapped");
    wait_for_answer(&registry, "web", 3);
    // Truncated in the middle of the inner component, and written over the good one.
    let composed = composed::composed().unwrap();
    home.put("composed.wasm", &composed[..composed.len() / 2]);
    wait_for_failure(&registry, "composed", "truncated");
    assert_eq!(ask(&registry, "composed"), Ok(5));
}
