//! Rollbacks: automatic ones of versions that fail soon after their activation, and
//! manual ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flyball_decision::context::Context;
use flyball_decision::policy::PolicyUser;
use flyball_decision::policy::{PolicyEngine as _, PolicyFailure, kind};
use flyball_decision::replica::{ReplicaDecision, ReplicaInput, Target};
use flyball_decision::time::Timestamp;
use flyball_sandbox::{
    PolicyEvent, PolicySource, PolicyState, Registry, digest, roll_back_by_hand,
};

use super::{Home, ask, status, wait_for_answer, wait_until};

/// Returns objects that use the policy `web`: one in each of these namespaces.
pub(super) fn used_in(registry: &Registry, namespaces: &[&str]) {
    let user = |namespace: &&str| PolicyUser {
        object: format!("Deployment {namespace}/web"),
        namespace: (*namespace).into(),
        is_asked: true,
    };
    let users = namespaces.iter().map(user).collect();
    registry.set_policy_users(BTreeMap::from([("web".to_owned(), users)]));
}

fn input(namespace: &str, second: i64, replicas: i32) -> (Context, ReplicaInput) {
    let context = Context {
        now: Timestamp(second * 1000),
        ..Context::default()
    };
    let target = Target {
        kind: "Deployment".into(),
        namespace: namespace.into(),
        name: "web".into(),
        ..Target::default()
    };
    let input = ReplicaInput {
        target: Arc::new(target),
        current_replicas: replicas,
        ..ReplicaInput::default()
    };
    (context, input)
}

/// Asks about the object of a namespace.
fn decide(
    registry: &Registry,
    namespace: &str,
    second: i64,
    replicas: i32,
) -> Result<ReplicaDecision, PolicyFailure> {
    let (context, input) = input(namespace, second, replicas);
    let policy = registry.policy(kind::REPLICA, "web").unwrap();
    policy.decide(&context, &input).answer
}

fn asked(
    registry: &Registry,
    namespace: &str,
    second: i64,
    replicas: i32,
) -> Result<i64, &'static str> {
    let decision = decide(registry, namespace, second, replicas);
    decision
        .map(|decision| decision.replicas.unwrap())
        .map_err(|failure| failure.code())
}

/// Creates a registry in which a version that traps at thirteen replicas replaces a good
/// one.
fn swapped(home: &Home, window: Duration) -> Registry {
    home.put("web.wasm", &home.plain["keeps_state"]);
    let registry = home.start_with(|options| options.rollback_window = window);
    assert_eq!(asked(&registry, "team-a", 0, 13), Ok(2));
    home.put("web.wasm", &home.hostile["trap_at_own_answer"]);
    wait_until("the swap", || {
        status(&registry, "web").unwrap().generation == 2
    });
    // By then everything has been stored.
    registry.rescan();
    registry
}

const TEN_MINUTES: Duration = Duration::from_mins(10);

#[test]
fn a_version_that_is_quarantined_for_all_soon_is_rolled_back() {
    let home = Home::new();
    let registry = swapped(&home, TEN_MINUTES);
    let events = registry.subscribe();
    used_in(&registry, &["team-a", "team-b"]);
    assert_eq!(asked(&registry, "team-a", 100, 1), Ok(13));
    for namespace in ["team-a", "team-b"] {
        for second in 697..700 {
            assert_eq!(
                asked(&registry, namespace, second, 13),
                Err("PolicyTrapped")
            );
        }
    }
    assert_eq!(asked(&registry, "team-a", 700, 13), Ok(2));
    let check = |registry: &Registry| {
        let listed = status(registry, "web").unwrap();
        let PolicyState::RolledBack { reason } = &listed.state else {
            panic!("{listed:?}");
        };
        for words in [
            "version 2.0.0",
            "quarantined for all objects, lastly for Policy",
        ] {
            assert!(reason.contains(words), "{reason}");
        }
        // Others read it too.
        assert!(!reason.contains("team-b"), "{reason}");
        let version = listed.version.unwrap();
        assert_eq!(*version.digest, *digest(&home.plain["keeps_state"]));
        let source = PolicySource::LastGood(home.file("web.wasm"));
        assert_eq!(listed.source, Some(source));
    };
    check(&registry);
    let published: Vec<_> = events.try_iter().collect();
    let rolled_back = published.iter().filter_map(|event| match event {
        PolicyEvent::RolledBack { .. } => Some(event.to_string()),
        _ => None,
    });
    let rolled_back: Vec<_> = rolled_back.collect();
    assert_eq!(rolled_back.len(), 1, "{published:?}");
    assert!(
        rolled_back[0].ends_with("decides; its state starts anew"),
        "{rolled_back:?}"
    );
    let policy = registry.policy(kind::REPLICA, "web").unwrap();
    assert_eq!(policy.rolled_back().unwrap().from.state_version, 2);
    assert!(policy.predecessors().is_empty());

    // The file is refused until its content changes, also after a restart and if it is
    // touched.
    home.put("web.wasm", &home.hostile["trap_at_own_answer"]);
    registry.rescan();
    check(&registry);
    drop(registry);
    let registry = home.start();
    check(&registry);
    assert_eq!(ask(&registry, "web"), Ok(2));
    home.put("web.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "web", 3);
    home.put("web.wasm", &home.hostile["trap_at_own_answer"]);
    wait_for_answer(&registry, "web", 13);
}

#[test]
fn after_its_first_minutes_a_version_is_not_rolled_back() {
    let home = Home::new();
    for (window, first) in [(TEN_MINUTES, 0), (Duration::ZERO, 600)] {
        let registry = swapped(&home, window);
        used_in(&registry, &["team-a"]);
        assert_eq!(asked(&registry, "team-a", first, 1), Ok(13));
        for second in 601..604 {
            assert_eq!(asked(&registry, "team-a", second, 13), Err("PolicyTrapped"));
        }
        assert_eq!(
            asked(&registry, "team-a", 604, 13),
            Err("PolicyQuarantined")
        );
        let listed = status(&registry, "web").unwrap();
        assert!(matches!(listed.state, PolicyState::Quarantined { .. }));
        // Objects keep the previous version nevertheless.
        let before = registry
            .policy(kind::REPLICA, "web")
            .unwrap()
            .predecessors();
        let (context, input) = input("team-a", 604, 13);
        let answer = before[0].decide(&context, &input).answer;
        assert_eq!(answer.unwrap().replicas, Some(2));
        std::fs::remove_file(home.file("web.wasm")).unwrap();
        registry.rescan();
    }
}

#[test]
fn a_restart_does_not_make_a_version_new_again() {
    let home = Home::new();
    let registry = swapped(&home, TEN_MINUTES);
    assert_eq!(asked(&registry, "team-a", 0, 1), Ok(13));
    registry.rescan();
    drop(registry);
    let registry = home.start();
    used_in(&registry, &["team-a"]);
    for second in 601..604 {
        assert_eq!(asked(&registry, "team-a", second, 13), Err("PolicyTrapped"));
    }
    let listed = status(&registry, "web").unwrap();
    assert!(matches!(listed.state, PolicyState::Quarantined { .. }));
    let previous = listed.previous.unwrap();
    assert_eq!(
        *previous.digest,
        *digest(&home.plain["keeps_state"]),
        "kept as well"
    );
}

#[test]
fn no_single_object_rolls_a_version_back() {
    let home = Home::new();
    let registry = swapped(&home, Duration::from_hours(1000));
    used_in(&registry, &["team-a", "team-b"]);
    for second in 0..100 {
        let answer = asked(&registry, "team-a", second * 700, 13);
        assert_eq!(answer, Err("PolicyTrapped"));
    }
    assert_eq!(asked(&registry, "team-b", 70_000, 1), Ok(13));
    let listed = status(&registry, "web").unwrap();
    assert_eq!(listed.generation, 2, "{listed:?}");
}

#[test]
fn a_rollback_by_hand_is_followed_and_outlives_a_restart() {
    let home = Home::new();
    let registry = swapped(&home, TEN_MINUTES);
    assert_eq!(asked(&registry, "team-a", 0, 1), Ok(13));
    let directory = home.root.path().join("last-good");
    let roll_back = |name: &str| {
        let builtins: [(&str, &[u8]); 1] = [("hpa", &home.contract["draft"])];
        roll_back_by_hand(&directory, name, &builtins)
    };
    let done = roll_back("web").unwrap();
    assert_eq!(done.refused, digest(&home.hostile["trap_at_own_answer"]));
    assert_eq!(done.restored, digest(&home.plain["keeps_state"]));
    let is_back = |registry: &Registry| {
        let listed = status(registry, "web").unwrap();
        matches!(&listed.state, PolicyState::RolledBack { reason } if reason.contains("by hand"))
            && ask(registry, "web") == Ok(2)
    };
    wait_until("the daemon to follow", || is_back(&registry));
    drop(registry);
    let registry = home.start();
    assert!(is_back(&registry));
    let again = roll_back("web").unwrap_err().to_string();
    assert!(again.contains("refused already"), "{again}");

    // A rollback while no daemon runs applies at the next start; for a file that replaced
    // a built-in policy, the built-in one decides again.
    home.put("hpa.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "hpa", 3);
    registry.rescan();
    drop(registry);
    assert!(roll_back("hpa").unwrap().is_built_in);
    let registry = home.start();
    let listed = status(&registry, "hpa").unwrap();
    assert!(
        matches!(listed.state, PolicyState::RolledBack { .. }),
        "{listed:?}"
    );
    assert_eq!(listed.source, Some(PolicySource::BuiltIn));

    home.put("new.wasm", &home.plain["two"]);
    wait_for_answer(&registry, "new", 2);
    registry.rescan();
    for (name, words) in [
        ("new", "no version before"),
        ("gone", "no file has decided"),
    ] {
        let error = roll_back(name).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn what_was_installed_is_rolled_back_and_stays_without_a_file() {
    let home = Home::new();
    let registry = home.start();
    registry.install("web", &home.plain["keeps_state"]).unwrap();
    let newer = &home.hostile["trap_at_own_answer"];
    registry.install("web", newer).unwrap();
    used_in(&registry, &["team-a"]);
    for second in 0..3 {
        let answer = asked(&registry, "team-a", second, 13);
        assert_eq!(answer, Err("PolicyTrapped"));
    }
    registry.rescan();
    assert_eq!(asked(&registry, "team-a", 3, 13), Ok(2));
    let listed = status(&registry, "web").unwrap();
    assert!(
        matches!(listed.state, PolicyState::RolledBack { .. }),
        "{listed:?}"
    );
    assert_eq!(listed.source, Some(PolicySource::Installed));
    // The file is refused, but the same content may be installed.
    registry.install("web", newer).unwrap();
    assert_eq!(status(&registry, "web").unwrap().state, PolicyState::Active);
}
