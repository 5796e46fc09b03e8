//! Policies swapped while they decide: files that come, change, go bad, go, and
//! come back after a restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flyball_core::policy::{
    Budget, Policy as _, PolicyEngine as _, PolicyFailure, ReplicaPolicy as _,
};
use flyball_core::replica::{Context, ReplicaInput};
use flyball_core::time::Timestamp;
use flyball_sandbox::{
    DEFAULT_BUDGET, Engine, EngineOptions, PolicyEvent, PolicySource, PolicyState, PolicyStatus,
    Registry, RegistryOptions,
};
use serde_json::json;

use crate::guest::Guest;

/// A directory of policies and what a daemon keeps beside it.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(home.policies()).unwrap();
        home
    }

    fn policies(&self) -> std::path::PathBuf {
        self.0.path().join("policies")
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.policies().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.file(name), bytes).unwrap();
    }

    fn start(&self, rescan: Duration) -> Registry {
        let engine = Engine::new(&EngineOptions {
            cache_directory: Some(self.0.path().join("compiled")),
            ..EngineOptions::default()
        });
        let options = RegistryOptions {
            directory: Some(self.policies()),
            last_good_directory: Some(self.0.path().join("last-good")),
            debounce: Duration::from_millis(50),
            rescan,
            ..RegistryOptions::default()
        };
        let builtin = replicas(1);
        Registry::open(&engine.unwrap(), options, &[("hpa", &builtin)]).unwrap()
    }

    /// Nobody has told yet which configurations are in use.
    fn restart(&self) -> Registry {
        let registry = self.start(Duration::from_secs(3600));
        registry.look();
        registry
    }

    fn open(&self) -> Registry {
        let registry = self.restart();
        registry.set_configurations_in_use(BTreeMap::new());
        registry.look();
        registry
    }
}

fn replicas(n: i64) -> Vec<u8> {
    Guest {
        replicas: Some(n),
        ..Guest::default()
    }
    .build()
}

fn ask_at(registry: &Registry, name: &str, seconds: i64) -> Result<Option<i64>, PolicyFailure> {
    let context = Context {
        now: Timestamp(seconds * 1000),
        ..Context::default()
    };
    let policy = registry.replica_policy(name)?;
    policy
        .decide(&context, &ReplicaInput::default())
        .answer
        .map(|decision| decision.replicas)
}

fn ask(registry: &Registry, name: &str) -> Option<i64> {
    ask_at(registry, name, 0).unwrap()
}

fn status(registry: &Registry, name: &str) -> PolicyStatus {
    registry
        .status()
        .into_iter()
        .find(|status| status.name == name)
        .unwrap()
}

fn reason(registry: &Registry, name: &str) -> String {
    match status(registry, name).state {
        PolicyState::Failed { reason } => reason,
        other => panic!("{name} is {other:?}"),
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "never came: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_file_takes_a_built_ins_place_and_gives_it_back() {
    let home = Home::new();
    let registry = home.open();
    let events = registry.subscribe();
    assert_eq!(ask(&registry, "hpa"), Some(1));
    assert_eq!(status(&registry, "hpa").source, Some(PolicySource::BuiltIn));

    home.write("hpa.wasm", &replicas(2));
    home.write("mine.wasm", &replicas(5));
    registry.look();
    assert_eq!(
        (ask(&registry, "hpa"), ask(&registry, "mine")),
        (Some(2), Some(5))
    );
    assert_eq!(status(&registry, "hpa").generation, 2);
    let fallback = registry.replica_fallback("mine").unwrap();
    let answer = fallback
        .decide(&Context::default(), &ReplicaInput::default())
        .answer
        .unwrap();
    assert_eq!(
        answer.replicas,
        Some(1),
        "the built-in one stays as the fallback"
    );

    // What is held decides on, whatever its name has become.
    let held = registry.replica_policy("hpa").unwrap();
    std::fs::remove_file(home.file("hpa.wasm")).unwrap();
    std::fs::remove_file(home.file("mine.wasm")).unwrap();
    registry.look();
    let answer = held
        .decide(&Context::default(), &ReplicaInput::default())
        .answer
        .unwrap();
    assert_eq!(answer.replicas, Some(2));
    assert_eq!(ask(&registry, "hpa"), Some(1), "the built-in one again");
    assert!(matches!(
        registry.replica_policy("mine").err(),
        Some(PolicyFailure::Missing(_))
    ));
    assert_eq!(registry.status().len(), 1);

    let events: Vec<String> = events.try_iter().map(|event| event.to_string()).collect();
    assert_eq!(events.len(), 4, "{events:#?}");
    assert!(events[0].starts_with("policy hpa 1.2.3 ") && events[0].contains("in place of hpa"));
    assert!(
        events[3].ends_with("nothing decides under that name"),
        "{}",
        events[3]
    );

    // A restart finds what there was: no policy of that name comes back.
    drop(registry);
    let registry = home.open();
    assert!(registry.replica_policy("mine").is_err());
}

#[test]
fn the_watch_swaps_without_a_decision_lost() {
    let home = Home::new();
    home.write("mine.wasm", &replicas(1));
    let registry = home.open();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let decisions = scope.spawn(|| {
            let mut last = 0;
            while !stop.load(Ordering::Relaxed) {
                let now = ask(&registry, "mine").unwrap();
                assert!(now >= last, "an older version decided after a newer one");
                last = now;
            }
            last
        });
        for n in 2..=4 {
            // As editors and ConfigMap volumes do it.
            std::fs::write(home.file(".new"), replicas(n)).unwrap();
            std::fs::rename(home.file(".new"), home.file("mine.wasm")).unwrap();
            eventually("the swap", || {
                status(&registry, "mine").generation == n.unsigned_abs()
            });
        }
        stop.store(true, Ordering::Relaxed);
        assert!(decisions.join().unwrap() >= 3);
    });
    assert_eq!(ask(&registry, "mine"), Some(4));
}

#[test]
fn a_rescan_finds_what_no_notice_told_of() {
    let home = Home::new();
    let real = home.0.path().join("elsewhere");
    std::fs::create_dir(&real).unwrap();
    std::fs::write(real.join("mine.wasm"), replicas(1)).unwrap();
    std::os::unix::fs::symlink(real.join("mine.wasm"), home.file("mine.wasm")).unwrap();
    let registry = home.start(Duration::from_millis(100));
    registry.set_configurations_in_use(BTreeMap::new());
    registry.look();
    assert_eq!(ask(&registry, "mine"), Some(1));
    // The link stays; nothing in the watched directory changes.
    std::fs::write(real.join("mine.wasm"), replicas(2)).unwrap();
    eventually("the rescan", || ask(&registry, "mine") == Some(2));
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let home = Home::new();
    home.write("good.wasm", &replicas(4));
    home.write("bad.wasm", b"\x7fELF");
    home.write("hpa.wasm", &replicas(2)[..500]);
    home.write("notes.txt", b"no policy");
    home.write("Upper.wasm", &replicas(2));
    let pipe = std::process::Command::new("mkfifo")
        .arg(home.file("pipe.wasm"))
        .status();
    assert!(pipe.unwrap().success());
    let registry = home.open();
    assert_eq!(
        ask(&registry, "good"),
        Some(4),
        "one bad file stops neither start nor others"
    );
    assert!(reason(&registry, "bad").starts_with("not WebAssembly"));
    let missing = registry.replica_policy("bad").err().unwrap();
    assert!(missing.message().contains("not WebAssembly"), "{missing}");
    assert!(reason(&registry, "hpa").starts_with("truncated"));
    assert_eq!(
        ask(&registry, "hpa"),
        Some(1),
        "the built-in one decides meanwhile"
    );
    assert!(reason(&registry, "upper").starts_with("`Upper` is no name"));
    assert!(reason(&registry, "pipe").ends_with("it is no regular file"));
    assert_eq!(registry.status().len(), 5);

    let trap = Guest {
        decide: "(unreachable)".into(),
        ..Guest::default()
    };
    home.write("good.wasm", &trap.build());
    registry.look();
    assert!(reason(&registry, "good").starts_with("failed its canary decision: PolicyTrapped"));
    assert_eq!(
        ask(&registry, "good"),
        Some(4),
        "the last good one decides on"
    );

    // A refusal is no fault of the trial's.
    let refuses = Guest {
        error: Some(("MissingInput", "no")),
        ..Guest::default()
    };
    home.write("good.wasm", &refuses.build());
    registry.look();
    assert_eq!(status(&registry, "good").state, PolicyState::Active);
}

#[test]
fn the_last_good_one_outlives_a_restart() {
    let home = Home::new();
    home.write("mine.wasm", &replicas(6));
    drop(home.open());
    home.write("mine.wasm", b"\0asm");
    let registry = home.open();
    assert_eq!(ask(&registry, "mine"), Some(6));
    assert_eq!(
        status(&registry, "mine").source,
        Some(PolicySource::LastGood(home.file("mine.wasm")))
    );
    assert!(matches!(
        status(&registry, "mine").state,
        PolicyState::Failed { .. }
    ));
    drop(registry);

    // A copy that somebody altered is none.
    let copies = home.0.path().join("last-good");
    for entry in std::fs::read_dir(&copies)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if entry.extension().is_some_and(|one| one == "wasm") {
            std::fs::write(&entry, replicas(60)).unwrap();
        }
    }
    let registry = home.open();
    assert!(registry.replica_policy("mine").is_err());
    home.write("mine.wasm", &replicas(7));
    registry.look();
    assert_eq!(ask(&registry, "mine"), Some(7));

    // Nor does one come back whose file was deleted while nobody looked.
    drop(registry);
    std::fs::remove_file(home.file("mine.wasm")).unwrap();
    drop(home.open());
    home.write("mine.wasm", b"\0asm");
    assert!(home.open().replica_policy("mine").is_err());
}

#[test]
fn two_files_of_one_name_are_an_error_of_both() {
    let home = Home::new();
    home.write("mine.wasm", &replicas(1));
    let registry = home.open();
    home.write("Mine.wasm", &replicas(2));
    registry.look();
    let reason = reason(&registry, "mine");
    assert!(
        reason.contains("/mine.wasm") && reason.contains("/Mine.wasm"),
        "{reason}"
    );
    assert_eq!(
        ask(&registry, "mine"),
        Some(1),
        "neither; what was good decides on"
    );
    std::fs::remove_file(home.file("Mine.wasm")).unwrap();
    registry.look();
    assert_eq!(status(&registry, "mine").state, PolicyState::Active);

    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let other = home.0.path().join("mine.wasm");
    std::fs::write(&other, replicas(3)).unwrap();
    let files = [home.file("mine.wasm"), other];
    let error = Registry::fixed(&engine, &[], &files)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("policy `mine`: two files claim"),
        "{error}"
    );
    assert!(Registry::fixed(&engine, &[], &files[..1]).is_ok());
}

/// Takes a configuration with a `window` of that JSON type.
fn window_of(kind: &str, replicas: i64) -> Vec<u8> {
    Guest {
        schema: json!({"type": "object", "properties": {"window": {"type": kind}}}).to_string(),
        replicas: Some(replicas),
        ..Guest::default()
    }
    .build()
}

/// Configurations of objects that use the policy `mine`.
fn in_use(configurations: &[&str]) -> BTreeMap<String, Vec<Arc<str>>> {
    let configurations = configurations.iter().map(|text| Arc::from(*text));
    BTreeMap::from([("mine".to_owned(), configurations.collect())])
}

#[test]
fn a_swap_that_would_invalidate_a_configuration_is_refused() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.open();
    registry.set_configurations_in_use(in_use(&[r#"{"window": "5m"}"#]));
    home.write("mine.wasm", &window_of("integer", 2));
    registry.look();
    let reason = reason(&registry, "mine");
    assert!(
        reason.contains("a configuration in use") && reason.contains("/window"),
        "{reason}"
    );
    assert_eq!(ask(&registry, "mine"), Some(1));

    // Nor does it slip in at a restart, before objects are known again.
    drop(registry);
    let registry = home.restart();
    assert_eq!(ask(&registry, "mine"), Some(1));

    // The object is edited: the same file is looked at again.
    registry.set_configurations_in_use(in_use(&[r#"{"window": 300}"#]));
    eventually("the swap", || ask(&registry, "mine") == Some(2));
}

#[test]
fn a_file_put_there_during_a_restart_waits_for_the_configurations_in_use() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    drop(home.open());
    home.write("mine.wasm", &window_of("integer", 2));
    for _ in 0..2 {
        let registry = home.restart();
        assert_eq!(status(&registry, "mine").state, PolicyState::Pending);
        assert_eq!(ask(&registry, "mine"), Some(1), "the last good one");

        // Of an object that nobody knew before the restart.
        registry.set_configurations_in_use(in_use(&[r#"{"window": "5m"}"#]));
        registry.look();
        assert!(reason(&registry, "mine").contains("/window"));
        assert_eq!(ask(&registry, "mine"), Some(1));
    }

    // Told before the first look, it is no different.
    let registry = home.start(Duration::from_secs(3600));
    registry.set_configurations_in_use(in_use(&[r#"{"window": "5m"}"#]));
    registry.look();
    assert!(reason(&registry, "mine").contains("/window"));
    assert_eq!(ask(&registry, "mine"), Some(1));

    registry.set_configurations_in_use(BTreeMap::new());
    registry.look();
    assert_eq!(ask(&registry, "mine"), Some(2));
    assert_eq!(status(&registry, "mine").state, PolicyState::Active);
}

#[test]
fn an_object_that_fits_no_version_is_refused_alone() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.open();
    let (good, bad) = (r#"{"window": "5m"}"#, r#"{"window": [5]}"#);
    registry.set_configurations_in_use(in_use(&[bad, good]));
    home.write("mine.wasm", &window_of("string", 2));
    registry.look();
    assert_eq!(status(&registry, "mine").state, PolicyState::Active);

    let decide = |configuration: &str| {
        let context = Context {
            configuration: configuration.into(),
            ..Context::default()
        };
        let policy = registry.replica_policy("mine").unwrap();
        policy.decide(&context, &ReplicaInput::default()).answer
    };
    for _ in 0..4 {
        assert_eq!(decide(good).unwrap().replicas, Some(2));
        let refused = decide(bad).unwrap_err();
        assert!(
            matches!(&refused, PolicyFailure::Refused(message)
                if message.starts_with("InvalidConfiguration: `/window`: ")),
            "{refused}"
        );
    }
    let listed = status(&registry, "mine");
    assert_eq!(
        (listed.decisions, listed.failures),
        (4, 0),
        "not the policy's"
    );

    home.write("mine.wasm", &window_of("integer", 3));
    registry.look();
    assert!(reason(&registry, "mine").contains("5m"));
    assert_eq!(decide(good).unwrap().replicas, Some(2));
}

#[test]
fn repeated_misbehaviour_leads_to_quarantine_until_a_swap() {
    let home = Home::new();
    // Well behaved in the trial, whose seed is 1; not with the seed 0.
    let decide = "(if (i64.eqz (i64.load offset=8 (local.get $arguments))) (then (unreachable)))";
    home.write(
        "mine.wasm",
        &Guest {
            decide: decide.into(),
            ..Guest::default()
        }
        .build(),
    );
    let registry = home.open();
    let events = registry.subscribe();
    for second in 100..103 {
        assert!(matches!(
            ask_at(&registry, "mine", second),
            Err(PolicyFailure::Trapped(_))
        ));
    }
    let kept = ask_at(&registry, "mine", 103).unwrap_err();
    assert!(
        matches!(&kept, PolicyFailure::Quarantined(m) if m.contains("PolicyTrapped")),
        "{kept}"
    );
    let PolicyState::Quarantined { until, .. } = status(&registry, "mine").state else {
        panic!()
    };
    assert_eq!(until, Timestamp(132_000));
    assert!(matches!(
        events.try_recv().unwrap(),
        PolicyEvent::Quarantined { .. }
    ));
    assert!(
        matches!(
            ask_at(&registry, "mine", 132),
            Err(PolicyFailure::Trapped(_))
        ),
        "tried again"
    );
    assert!(matches!(
        ask_at(&registry, "mine", 191),
        Err(PolicyFailure::Quarantined(_))
    ));
    let listed = status(&registry, "mine");
    assert_eq!((listed.decisions, listed.failures), (4, 4));

    home.write("mine.wasm", &replicas(9));
    registry.look();
    assert_eq!(ask_at(&registry, "mine", 133), Ok(Some(9)));
    assert_eq!(status(&registry, "mine").state, PolicyState::Active);
}

#[test]
fn budgets_are_set_by_name_and_closeness_is_told() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let count = "(loop $again (local.set $n (i64.add (local.get $n) (i64.const 1)))
        (br_if $again (i64.lt_u (local.get $n) (i64.const 10000))))";
    let bytes = Guest {
        decide: count.into(),
        ..Guest::default()
    }
    .build();
    let spent = {
        let registry = Registry::fixed(&engine, &[("mine", &bytes)], &[]).unwrap();
        let policy = registry.policy("mine").unwrap();
        policy
            .decide(&Context::default(), &ReplicaInput::default())
            .usage
            .fuel
    };
    let tight = Budget {
        fuel_base: spent + spent / 10,
        ..DEFAULT_BUDGET
    };
    let options = RegistryOptions {
        budgets: BTreeMap::from([("mine".to_owned(), tight)]),
        ..RegistryOptions::default()
    };
    let registry = Registry::open(&engine, options, &[("mine", &bytes), ("hpa", &bytes)]).unwrap();
    let events = registry.subscribe();
    for name in ["mine", "mine", "hpa"] {
        assert_eq!(ask(&registry, name), Some(3));
    }
    assert!(status(&registry, "mine").near_budget && !status(&registry, "hpa").near_budget);
    let told: Vec<_> = events.try_iter().collect();
    assert!(
        matches!(told.as_slice(), [PolicyEvent::NearBudget { .. }]),
        "once: {told:?}"
    );
}

#[test]
fn installing_is_done_when_it_returns() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let registry = Registry::fixed(&engine, &[("hpa", &replicas(1))], &[]).unwrap();
    let version = registry.install("hpa", &replicas(2)).unwrap();
    assert_eq!(ask(&registry, "hpa"), Some(2));
    assert!(registry.install("hpa", b"nonsense").is_err());
    assert_eq!(ask(&registry, "hpa"), Some(2));
    let found = registry.policy_by_digest(&version.digest).unwrap();
    assert_eq!(found.version(), &version);
    assert!(
        registry
            .policy_by_digest(&flyball_sandbox::digest(&replicas(1)))
            .is_some()
    );
    assert!(registry.install_file(Path::new("hpa.txt")).is_err());
}
