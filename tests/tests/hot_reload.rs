//! Policies that come, change, break, return and go while the daemon decides:
//! the registry on a real directory with the operating system's own notices, and
//! guests compiled from source.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flyball_core::policy::{PolicyEngine as _, PolicyFailure, PolicyOutcome};
use flyball_core::replica::{Context, ReplicaInput};
use flyball_core::time::Timestamp;
use flyball_sandbox::{
    Engine, EngineOptions, PolicyEvent, PolicySource, PolicyState, PolicyStatus, Registry,
    RegistryOptions, digest,
};
use flyball_test_support::wait_for;
use flyball_tests::guests::{self, Components};

const DEBOUNCE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);
/// What the built-in policy answers: one more than no ready replica.
const BUILT_IN: i64 = 1;

/// A policies directory, the daemon's private one beside it, and what may be
/// copied into the first.
struct Home {
    root: tempfile::TempDir,
    plain: Arc<Components>,
    hostile: Arc<Components>,
    contract: Arc<Components>,
}

impl Home {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("policies")).unwrap();
        Self {
            root,
            plain: guests::components("plain").unwrap(),
            hostile: guests::components("hostile").unwrap(),
            contract: guests::components("contract").unwrap(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("policies").join(name)
    }

    /// Copies a file as one should: under another name, then renamed.
    fn put(&self, name: &str, bytes: &[u8]) {
        let copy = self.root.path().join("copy");
        fs::write(&copy, bytes).unwrap();
        fs::rename(&copy, self.file(name)).unwrap();
    }

    /// Starts what the daemon has; `look`s at the directory only when told of a
    /// change by the operating system, for a day.
    fn start(&self) -> Registry {
        let engine = Engine::new(&EngineOptions {
            cache_directory: Some(self.root.path().join("compiled")),
            ..EngineOptions::default()
        });
        let options = RegistryOptions {
            directory: Some(self.root.path().join("policies")),
            last_good_directory: Some(self.root.path().join("last-good")),
            debounce: DEBOUNCE,
            rescan: Duration::from_secs(86_400),
            ..RegistryOptions::default()
        };
        let builtins: [(&str, &[u8]); 1] = [("hpa", &self.contract["draft"])];
        let registry = Registry::open(&engine.unwrap(), options, &builtins).unwrap();
        registry.set_configurations_in_use(BTreeMap::new());
        registry.look();
        registry
    }
}

fn ask(registry: &Registry, name: &str) -> Result<i64, PolicyFailure> {
    ask_at(registry, name, Timestamp(0), 1)
}

fn ask_at(
    registry: &Registry,
    name: &str,
    now: Timestamp,
    current_replicas: i32,
) -> Result<i64, PolicyFailure> {
    let context = Context {
        now,
        ..Context::default()
    };
    let input = ReplicaInput {
        current_replicas,
        ..ReplicaInput::default()
    };
    let PolicyOutcome { answer, .. } = registry.replica_policy(name)?.decide(&context, &input);
    Ok(answer?.replicas.unwrap())
}

fn status(registry: &Registry, name: &str) -> Option<PolicyStatus> {
    registry
        .status()
        .into_iter()
        .find(|status| status.name == name)
}

fn reason(registry: &Registry, name: &str) -> Option<String> {
    match status(registry, name)?.state {
        PolicyState::Failed { reason } => Some(reason),
        _ => None,
    }
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    wait_for(what, PATIENCE, || Ok(holds().then_some(()))).unwrap();
}

/// Waits until the name's file is refused for a reason with these words in it.
fn wait_for_failure(registry: &Registry, name: &str, words: &str) {
    wait_until(&format!("{name}: {words}"), || {
        reason(registry, name).is_some_and(|reason| reason.contains(words))
    });
}

fn wait_for_answer(registry: &Registry, name: &str, replicas: i64) {
    wait_until(&format!("{name} to answer {replicas}"), || {
        let state = status(registry, name).map(|status| status.state);
        ask(registry, name) == Ok(replicas) && state == Some(PolicyState::Active)
    });
}

#[test]
fn a_file_comes_breaks_is_mended_and_goes() {
    let home = Home::new();
    home.put("other.wasm", &home.plain["two"]);
    let registry = home.start();
    let events = registry.subscribe();
    assert!(
        ask(&registry, "web")
            .unwrap_err()
            .message()
            .contains("put web.wasm into")
    );

    home.put("web.wasm", &home.plain["two"]);
    wait_for_answer(&registry, "web", 2);
    let active = status(&registry, "web").unwrap();
    assert_eq!(
        active.source,
        Some(PolicySource::File(home.file("web.wasm")))
    );
    assert_eq!(*active.version.unwrap().digest, *digest(&home.plain["two"]));

    let three = &home.plain["three"];
    let broken: [(&[u8], &str); 4] = [
        (&three[..three.len() / 2], "truncated"),
        (b"policy: three", "not WebAssembly"),
        (
            &home.hostile["start_loop"],
            "failed while describing itself: PolicyOutOfFuel",
        ),
        (
            &home.hostile["trap"],
            "failed its canary decision: PolicyTrapped",
        ),
    ];
    for (bytes, words) in broken {
        home.put("web.wasm", bytes);
        wait_for_failure(&registry, "web", words);
        assert_eq!(ask(&registry, "web"), Ok(2), "the last good one goes on");
        assert_eq!(ask(&registry, "other"), Ok(2));
    }

    home.put("web.wasm", three);
    wait_for_answer(&registry, "web", 3);

    fs::remove_file(home.file("web.wasm")).unwrap();
    wait_until("web to be gone", || {
        matches!(ask(&registry, "web"), Err(PolicyFailure::Missing(_)))
    });
    assert_eq!(ask(&registry, "other"), Ok(2));

    let lines: Vec<String> = events.try_iter().map(|event| event.to_string()).collect();
    let told = [
        "web 1.0.0",
        "refused: truncated",
        "web 1.0.0",
        "policy web retired",
    ];
    assert_eq!(lines.len(), 7, "{lines:#?}");
    assert!(
        lines.iter().all(|line| line.starts_with("policy web")),
        "{lines:#?}"
    );
    for (line, words) in [&lines[0], &lines[1], &lines[5], &lines[6]]
        .into_iter()
        .zip(told)
    {
        assert!(line.contains(words), "{line} lacks {words:?}");
    }
}

#[test]
fn a_built_in_gives_way_to_a_file_and_takes_its_place_again() {
    let home = Home::new();
    let registry = home.start();
    assert_eq!(ask(&registry, "hpa"), Ok(BUILT_IN));
    home.put("hpa.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "hpa", 3);
    fs::remove_file(home.file("hpa.wasm")).unwrap();
    wait_for_answer(&registry, "hpa", BUILT_IN);
    assert_eq!(
        status(&registry, "hpa").unwrap().source,
        Some(PolicySource::BuiltIn)
    );
}

#[test]
fn a_mounted_config_map_is_swapped_as_one() {
    let home = Home::new();
    let version = |name: &str, bytes: &[u8]| {
        fs::create_dir(home.file(name)).unwrap();
        fs::write(home.file(name).join("web.wasm"), bytes).unwrap();
    };
    version("..2026_11_24_01", &home.plain["two"]);
    symlink("..2026_11_24_01", home.file("..data")).unwrap();
    symlink("..data/web.wasm", home.file("web.wasm")).unwrap();
    let registry = home.start();
    assert_eq!(ask(&registry, "web"), Ok(2));
    assert_eq!(
        registry.status().len(),
        2,
        "links to directories are no policies"
    );

    version("..2026_11_24_02", &home.plain["three"]);
    symlink("..2026_11_24_02", home.file("..data_tmp")).unwrap();
    fs::rename(home.file("..data_tmp"), home.file("..data")).unwrap();
    fs::remove_dir_all(home.file("..2026_11_24_01")).unwrap();
    wait_for_answer(&registry, "web", 3);
    assert_eq!(status(&registry, "web").unwrap().generation, 2);
}

#[test]
fn two_files_of_one_name_are_an_error_that_names_both() {
    let home = Home::new();
    home.put("web.wasm", &home.plain["two"]);
    let registry = home.start();
    home.put("web.WASM", &home.plain["three"]);
    wait_for_failure(&registry, "web", "two files claim the policy's name");
    let reason = reason(&registry, "web").unwrap();
    for file in ["web.wasm", "web.WASM"] {
        assert!(
            reason.contains(&home.file(file).display().to_string()),
            "{reason}"
        );
    }
    assert_eq!(ask(&registry, "web"), Ok(2));
    fs::remove_file(home.file("web.wasm")).unwrap();
    wait_for_answer(&registry, "web", 3);
}

#[test]
fn a_restart_keeps_the_last_good_one_and_starts_beside_any_file() {
    let home = Home::new();
    home.put("web.wasm", &home.plain["two"]);
    home.put("hpa.wasm", &home.plain["two"]);
    drop(home.start());

    home.put("web.wasm", b"");
    home.put("hpa.wasm", &home.hostile["decide_loop"]);
    for (guest, component) in home.hostile.iter() {
        home.put(&format!("{guest}.wasm"), component);
    }
    let registry = home.start();
    for name in ["web", "hpa"] {
        assert_eq!(ask(&registry, name), Ok(2), "{name}");
        let source = PolicySource::LastGood(home.file(&format!("{name}.wasm")));
        let status = status(&registry, name).unwrap();
        assert_eq!(status.source, Some(source));
        assert!(matches!(status.state, PolicyState::Failed { .. }));
    }
    // Hostile guests become active if neither loading nor a decision for trial
    // shows them up.
    let active: BTreeSet<String> = registry
        .status()
        .into_iter()
        .filter(|status| status.state == PolicyState::Active)
        .map(|status| status.name)
        .collect();
    let harmless = [
        "answer_nan",
        "answer_zero",
        "chance",
        "configuration_demanding",
        "log_flood",
        "refusal",
        "state_in_static",
        "trap_at_thirteen",
    ];
    assert_eq!(active, harmless.map(String::from).into());

    home.put("web.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "web", 3);
}

#[test]
fn a_swap_that_would_invalidate_a_configuration_is_refused() {
    let home = Home::new();
    home.put("web.wasm", &home.plain["two"]);
    let registry = home.start();
    let in_use = |configuration: &str| {
        let configurations = BTreeMap::from([("web".into(), vec![configuration.into()])]);
        registry.set_configurations_in_use(configurations);
    };
    in_use("{}");
    home.put("web.wasm", &home.hostile["configuration_demanding"]);
    wait_for_failure(
        &registry,
        "web",
        "a configuration in use does not fit its schema",
    );
    assert!(reason(&registry, "web").unwrap().contains("ceiling"));
    assert_eq!(ask(&registry, "web"), Ok(2));

    in_use(r#"{"ceiling": 5}"#);
    wait_until("the swap", || {
        let state = status(&registry, "web").map(|status| status.state);
        state == Some(PolicyState::Active)
    });
    let context = Context {
        configuration: r#"{"ceiling": 5}"#.into(),
        ..Context::default()
    };
    let policy = registry.replica_policy("web").unwrap();
    let outcome = policy.decide(&context, &ReplicaInput::default());
    assert_eq!(outcome.answer.unwrap().replicas, Some(3));
}

#[test]
fn a_policy_that_traps_again_and_again_is_quarantined_for_longer_and_longer() {
    let home = Home::new();
    home.put("web.wasm", &home.hostile["trap_at_thirteen"]);
    home.put("other.wasm", &home.plain["two"]);
    let registry = home.start();
    let ask = |seconds: i64, replicas| {
        ask_at(&registry, "web", Timestamp(seconds * 1_000), replicas)
            .map_err(|failure| failure.code())
    };
    assert_eq!(ask(0, 12), Ok(3));
    for second in 1..=3 {
        assert_eq!(ask(second, 13), Err("PolicyTrapped"));
    }
    assert_eq!(ask(4, 12), Err("PolicyQuarantined"));
    let PolicyState::Quarantined { until, reason } = status(&registry, "web").unwrap().state else {
        panic!("not quarantined");
    };
    assert!(reason.contains("PolicyTrapped"), "{reason}");
    let first = until.since(Timestamp(3_000)) / 1_000;
    assert!(first > 0);

    // Let out, it traps at once: kept for longer.
    assert_eq!(ask(3 + first, 13), Err("PolicyTrapped"));
    assert_eq!(ask(3 + first + first, 12), Err("PolicyQuarantined"));
    assert_eq!(
        ask_at(&registry, "other", until, 13),
        Ok(2),
        "the policy beside it"
    );

    // Let out again, it behaves: all is forgiven.
    let later = 3 + 10 * first;
    assert_eq!(ask(later, 12), Ok(3));
    assert_eq!(ask(later, 13), Err("PolicyTrapped"));
    assert_eq!(ask(later, 12), Ok(3));

    // Other code starts with a clean slate.
    for _ in 0..3 {
        assert_eq!(ask(later, 13), Err("PolicyTrapped"));
    }
    home.put("web.wasm", &home.plain["two"]);
    wait_until("the quarantine to end", || ask(later, 13) == Ok(2));
}

#[test]
fn a_slow_copy_is_never_loaded_half() {
    let home = Home::new();
    let (two, three) = (&home.plain["two"], &home.plain["three"]);
    home.put("web.wasm", two);
    let registry = home.start();
    let events = registry.subscribe();

    let mut file = fs::File::create(home.file("web.wasm")).unwrap();
    for part in three.chunks(three.len() / 8) {
        file.write_all(part).unwrap();
        file.flush().unwrap();
        assert!(matches!(ask(&registry, "web"), Ok(2 | 3)));
        // Long enough for the directory to seem quiet.
        std::thread::sleep(DEBOUNCE * 4);
    }
    drop(file);
    wait_for_answer(&registry, "web", 3);
    let activated: Vec<String> = events
        .try_iter()
        .filter_map(|event| match event {
            PolicyEvent::Activated { version, .. } => Some(version.digest.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(activated, [digest(three)]);
}

#[test]
fn decisions_under_way_finish_on_the_old_code() {
    let home = Home::new();
    home.put("web.wasm", &home.plain["two"]);
    let registry = home.start();
    let held = registry.replica_policy("web").unwrap();
    let answers = BTreeMap::from([
        (digest(&home.plain["two"]), 2),
        (digest(&home.plain["three"]), 3),
    ]);

    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Every decision is made by exactly the code that it names.
        let asking = scope.spawn(|| {
            let mut versions = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                let policy = registry.replica_policy("web").unwrap();
                let outcome = policy.decide(&Context::default(), &ReplicaInput::default());
                let digest = policy.version().digest.to_string();
                assert_eq!(outcome.answer.unwrap().replicas, Some(answers[&digest]));
                versions.insert(digest);
            }
            versions
        });
        for (guest, replicas) in [("three", 3), ("two", 2), ("three", 3)] {
            home.put("web.wasm", &home.plain[guest]);
            wait_for_answer(&registry, "web", replicas);
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(asking.join().unwrap().len(), 2);
    });

    let outcome = held.decide(&Context::default(), &ReplicaInput::default());
    assert_eq!(outcome.answer.unwrap().replicas, Some(2));
    assert_eq!(*held.version().digest, *digest(&home.plain["two"]));
    assert_eq!(ask(&registry, "web"), Ok(3));
}

#[test]
fn a_directory_that_is_not_there_yet_keeps_nothing_from_starting() {
    let home = Home::new();
    fs::remove_dir(home.root.path().join("policies")).unwrap();
    let registry = home.start();
    assert_eq!(ask(&registry, "hpa"), Ok(BUILT_IN));
    fs::create_dir(home.root.path().join("policies")).unwrap();
    home.put("web.wasm", &home.plain["two"]);
    // Nothing can tell of it: the periodic look finds it.
    registry.look();
    assert_eq!(ask(&registry, "web"), Ok(2));
}
