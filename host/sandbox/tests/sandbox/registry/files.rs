//! Files that are added, changed, broken and removed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flyball_decision::context::Context;
use flyball_decision::policy::{Policy as _, PolicyEngine as _, PolicyFailure, interface, kind};
use flyball_decision::replica::ReplicaInput;
use flyball_sandbox::{
    Engine, EngineOptions, PolicySource, PolicyState, Registry, RegistryOptions,
};
use flyball_tests::guests;

use super::{Home, ask, eventually, reason, replicas, status};
use crate::guest::Guest;

#[test]
fn a_file_takes_a_built_ins_place_and_gives_it_back() {
    let home = Home::new();
    let registry = home.open();
    let events = registry.subscribe();
    assert_eq!(ask(&registry, "hpa"), Some(1));
    assert_eq!(status(&registry, "hpa").source, Some(PolicySource::BuiltIn));

    home.write("hpa.wasm", &replicas(2));
    home.write("mine.wasm", &replicas(5));
    registry.rescan();
    assert_eq!(
        (ask(&registry, "hpa"), ask(&registry, "mine")),
        (Some(2), Some(5))
    );
    assert_eq!(status(&registry, "hpa").generation, 2);
    let fallback = registry.fallback(interface::REPLICA, "mine").unwrap();
    let answer = fallback
        .decide(&Context::default(), &ReplicaInput::default())
        .answer
        .unwrap();
    assert_eq!(
        answer.replicas,
        Some(1),
        "the built-in one stays as the fallback"
    );

    // A caller that holds a version can go on using it.
    let held = registry.policy(kind::REPLICA, "hpa").unwrap();
    std::fs::remove_file(home.file("hpa.wasm")).unwrap();
    std::fs::remove_file(home.file("mine.wasm")).unwrap();
    registry.rescan();
    let answer = held
        .decide(&Context::default(), &ReplicaInput::default())
        .answer
        .unwrap();
    assert_eq!(answer.replicas, Some(2));
    assert_eq!(ask(&registry, "hpa"), Some(1), "the built-in one again");
    assert!(matches!(
        registry.policy(kind::REPLICA, "mine").err(),
        Some(PolicyFailure::Missing(_))
    ));
    assert_eq!(registry.status().len(), 1);

    let events: Vec<String> = events.try_iter().map(|event| event.to_string()).collect();
    assert_eq!(events.len(), 4, "{events:#?}");
    assert!(events[0].starts_with("policy hpa 1.2.3 ") && events[0].contains("in place of hpa"));
    assert!(
        events[3].ends_with("no version of it is active"),
        "{}",
        events[3]
    );

    // After a restart it is the same: no policy of that name comes back.
    drop(registry);
    let registry = home.open();
    assert!(registry.policy(kind::REPLICA, "mine").is_err());
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
            // As editors and ConfigMap volumes replace files.
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
    registry.rescan();
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
    let missing = registry.policy(kind::REPLICA, "bad").err().unwrap();
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
    registry.rescan();
    assert!(reason(&registry, "good").starts_with("failed its canary decision: PolicyTrapped"));
    assert_eq!(
        ask(&registry, "good"),
        Some(4),
        "the last good one decides on"
    );

    // A typed error is no failure of the trial.
    let refuses = Guest {
        error: Some(("MissingInput", "no")),
        ..Guest::default()
    };
    home.write("good.wasm", &refuses.build());
    registry.rescan();
    assert_eq!(status(&registry, "good").state, PolicyState::Active);
}

#[test]
fn two_files_of_one_name_are_an_error_of_both() {
    let home = Home::new();
    home.write("mine.wasm", &replicas(1));
    let registry = home.open();
    home.write("Mine.wasm", &replicas(2));
    registry.rescan();
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
    registry.rescan();
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

#[test]
fn what_is_installed_in_a_files_place_stays_until_the_file_is_another_one() {
    let home = Home::new();
    home.write("hpa.wasm", &replicas(2));
    let registry = home.open();
    assert_eq!(ask(&registry, "hpa"), Some(2));
    registry.install("hpa", &replicas(5)).unwrap();
    registry.rescan();
    assert_eq!(ask(&registry, "hpa"), Some(5), "the file is the same");
    assert_eq!(status(&registry, "hpa").state, PolicyState::Active);

    home.write("hpa.wasm", b"nonsense");
    registry.rescan();
    assert!(reason(&registry, "hpa").starts_with("not WebAssembly"));
    home.write("hpa.wasm", &replicas(2));
    registry.rescan();
    assert_eq!(ask(&registry, "hpa"), Some(5), "the same again");
    assert_eq!(status(&registry, "hpa").state, PolicyState::Active);

    home.write("hpa.wasm", &replicas(3));
    registry.rescan();
    assert_eq!(ask(&registry, "hpa"), Some(3));

    // A file that was removed and added again is a new one.
    registry.install("hpa", &replicas(5)).unwrap();
    std::fs::remove_file(home.file("hpa.wasm")).unwrap();
    registry.rescan();
    assert_eq!(ask(&registry, "hpa"), Some(5));
    home.write("hpa.wasm", &replicas(3));
    registry.rescan();
    assert_eq!(ask(&registry, "hpa"), Some(3));
}

#[test]
fn what_is_too_large_is_refused_unread() {
    let home = Home::new();
    let small = replicas(2);
    let mut large = replicas(3);
    // With a custom section it would still be a policy.
    large.extend([0, 2, 1, b'x']);
    home.write("hpa.wasm", &large);
    home.write("mine.wasm", &small);
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let limit = u64::try_from(small.len()).unwrap();
    let options = RegistryOptions {
        directory: Some(home.policies()),
        max_policy_bytes: limit,
        ..RegistryOptions::default()
    };
    let registry = Registry::open(&engine, options, &[("hpa", &replicas(1))]).unwrap();
    registry.rescan();
    let expected = format!(
        "{} bytes are too many: at most {limit} are allowed for a policy",
        large.len()
    );
    assert_eq!(reason(&registry, "hpa"), expected);
    assert_eq!(ask(&registry, "hpa"), Some(1), "the built-in one decides");
    assert_eq!(ask(&registry, "mine"), Some(2), "of just that size");
    let error = registry.install("mine", &large).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_reason_of_a_refused_file_is_short_whatever_the_file_has_in_it() {
    let home = Home::new();
    let registry = home.open();
    home.write("mine.wasm", &guests::of_unknown_imports(500, 1000).unwrap());
    home.write("a\u{1b}[2J\nb.wasm", b"");
    registry.rescan();
    let mine = reason(&registry, "mine");
    assert!(mine.starts_with("it imports evil:package/i"), "{mine}");
    let statuses = registry.status();
    let reasons = statuses.iter().filter_map(|status| match &status.state {
        PolicyState::Failed { reason } => Some(reason),
        _ => None,
    });
    let reasons: Vec<&String> = reasons.collect();
    assert_eq!(reasons.len(), 2);
    for reason in reasons {
        assert!(reason.len() <= 1024, "{} bytes", reason.len());
        assert!(!reason.contains(char::is_control), "{reason:?}");
    }
    let missing = registry.policy(kind::REPLICA, "mine").err().unwrap();
    assert!(missing.message().len() <= 1200, "{missing}");
}
