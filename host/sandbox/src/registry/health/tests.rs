#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::sync::Arc;

use flyball_decision::policy::PolicyUser;

use super::{Asker, Begun, Health, OBJECTS, PROBATION_MS, PolicyFailure, Scope, Timestamp, Users};

const NOW: Timestamp = Timestamp(1_000_000);

fn trap() -> PolicyFailure {
    PolicyFailure::Trapped("wasm `unreachable`".into())
}

fn asker(object: &str) -> Asker<'_> {
    let namespace = object.split('/').next().unwrap();
    Asker { object, namespace }
}

fn known(users: &[PolicyUser]) -> Arc<Users> {
    Arc::new(users.iter().cloned().collect())
}

fn end(
    health: &mut Health,
    object: &str,
    now: Timestamp,
    failure: Option<&PolicyFailure>,
    users: &[PolicyUser],
) -> Option<Begun> {
    health.end(asker(object), now, failure, || known(users))
}

fn begin(
    health: &mut Health,
    object: &str,
    now: Timestamp,
    users: &[PolicyUser],
) -> Result<(), String> {
    let begun = health.begin(asker(object), now, || known(users));
    begun.map_err(|failure| failure.message().to_owned())
}

fn user(object: &str) -> PolicyUser {
    PolicyUser {
        object: object.to_owned(),
        namespace: asker(object).namespace.into(),
        is_asked: true,
    }
}

fn users(objects: &[&str]) -> Vec<PolicyUser> {
    objects.iter().map(|object| user(object)).collect()
}

#[test]
fn quarantine_follows_three_strikes_and_backs_off() {
    let trap = trap();
    let mut health = Health::default();
    let end = |health: &mut Health, now, failure| {
        end(health, "a", now, failure, &[]).map(|begun| begun.until)
    };
    let mut now = NOW;
    assert_eq!(end(&mut health, now, Some(&trap)), None);
    let refused = PolicyFailure::Refused("no".into());
    assert_eq!(end(&mut health, now, Some(&refused)), None);
    let no_misbehaviour = end(&mut health, now, Some(&trap));
    assert_eq!(no_misbehaviour, None, "a refusal is no misbehaviour");
    assert_eq!(end(&mut health, now, Some(&trap)), None);
    // Neither a strike nor an answer.
    let large = PolicyFailure::InputTooLarge("too many pods".into());
    assert_eq!(end(&mut health, now, Some(&large)), None);
    for seconds in [30, 60, 120, 240, 480, 600, 600] {
        let until = end(&mut health, now, Some(&trap)).map(|until| until.since(now));
        assert_eq!(until, Some(seconds * 1_000));
        let running = end(&mut health, now, Some(&trap));
        assert_eq!(running, None, "already under way");
        let last = now.plus(seconds * 1_000 - 1);
        let held = begin(&mut health, "a", last, &[]);
        assert_eq!(held, begin(&mut health, "a", now, &[]), "the same text");
        assert!(held.is_err());
        now = now.plus(seconds * 1_000);
        assert_eq!(begin(&mut health, "a", now, &[]), Ok(()), "tried again");
    }
    assert_eq!(end(&mut health, now, None), None);
    assert!(health.namespaces.is_empty(), "one success clears it");
    assert_eq!(end(&mut health, now, Some(&trap)), None);
    assert_eq!((health.decisions, health.failures), (21, 20));
}

#[test]
fn what_is_remembered_of_a_namespace_has_an_end() {
    let trap = trap();
    let mut health = Health::default();
    let strike = |health: &mut Health, object: &str, now| {
        end(health, "a/good", now, None, &[]);
        end(health, object, now, Some(&trap), &[])
    };
    for _ in 0..3 {
        for object in 0..OBJECTS {
            strike(&mut health, &format!("a/{object}"), NOW);
        }
    }
    let (until, reason) = health.quarantined().unwrap();
    assert_eq!(until, NOW.plus(30_000));
    assert_eq!(
        reason,
        "a/999 and 999 more: PolicyTrapped: wasm `unreachable`"
    );
    for _ in 0..3 {
        assert_eq!(strike(&mut health, "a/one more", NOW), None);
    }
    let asked = begin(&mut health, "a/one more", NOW, &[]);
    assert_eq!(asked, Ok(()), "asked each time");
    // It takes nothing from another namespace.
    for strikes in 1..=3 {
        let begun = end(&mut health, "b/bad", NOW, Some(&trap), &[]);
        assert_eq!(begun.is_some(), strikes == 3);
    }
    assert!(begin(&mut health, "b/bad", NOW, &[]).is_err());
    let later = NOW.plus(30_000);
    assert_eq!(strike(&mut health, "a/one more", later), None);
    let left = health.namespaces["a"].objects.len();
    assert_eq!(left, 1, "the others' quarantine is over");
}

/// A namespace in which a row of misbehaviours led to a quarantine. There is one other
/// namespace.
fn held_namespace() -> (Health, Vec<PolicyUser>) {
    let trap = trap();
    let mut health = Health::default();
    let objects: Vec<_> = (0..59).map(|object| format!("a/{object}")).collect();
    let objects = objects.iter().map(String::as_str);
    let objects: Vec<_> = objects.chain(["a/good", "b/calm"]).collect();
    let users = users(&objects);
    let mut strike = |objects: std::ops::Range<usize>| {
        for object in &users[objects] {
            let begun = end(&mut health, &object.object, NOW, Some(&trap), &users);
            assert_eq!(begun, None);
        }
        end(&mut health, "a/good", NOW, None, &users);
    };
    strike(0..29);
    strike(29..58);
    for object in &users[29..58] {
        end(&mut health, &object.object, NOW, Some(&trap), &users);
    }
    let begun = end(&mut health, "a/58", NOW, Some(&trap), &users);
    let until = NOW.plus(30_000);
    let scope = Scope::Namespace;
    assert_eq!(begun, Some(Begun { until, scope }), "thirty in a row");
    (health, users)
}

#[test]
fn what_fails_for_every_object_of_a_namespace_is_not_tried_with_each() {
    let (mut health, users) = held_namespace();
    let held = begin(&mut health, "a/never asked before", NOW, &users).unwrap_err();
    assert_eq!(
        held,
        "for the objects of its namespace until 1970-01-01T00:17:10Z, after: \
         PolicyTrapped: wasm `unreachable`"
    );
    assert_eq!(begin(&mut health, "b/calm", NOW, &users), Ok(()));
    let (_, reason) = health.quarantined().unwrap();
    assert!(reason.starts_with("namespace a: PolicyTrapped"), "{reason}");
}

#[test]
fn after_a_quarantine_objects_that_did_not_fail_last_come_first() {
    let now = NOW.plus(30_000);
    let (mut health, users) = held_namespace();
    let waits = begin(&mut health, "a/58", now, &users).unwrap_err();
    assert!(
        waits.starts_with("for it, unless another object is decided before, until 1970-01-01T"),
        "{waits}"
    );
    assert_eq!(begin(&mut health, "a/good", now, &users), Ok(()));
    end(&mut health, "a/good", now, None, &users);
    assert_eq!(begin(&mut health, "a/58", now, &users), Ok(()));

    // If it fails for that one too, one is enough.
    let (mut health, users) = held_namespace();
    let begun = end(&mut health, "a/good", now, Some(&trap()), &users);
    assert_eq!(begun.map(|begun| begun.until), Some(now.plus(60_000)));

    // They don't wait for what is never asked, nor without end.
    let (mut health, users) = held_namespace();
    assert!(begin(&mut health, "a/58", now, &users).is_err());
    assert_eq!(begin(&mut health, "a/58", now, &users[..59]), Ok(()));
    let late = now.plus(PROBATION_MS);
    assert_eq!(begin(&mut health, "a/58", late, &users), Ok(()));
}

#[test]
fn no_object_and_no_namespace_alone_is_all() {
    let trap = trap();
    let mut now = NOW;
    let is_for_all = |begun: Option<Begun>| begun.is_some_and(|begun| begun.scope == Scope::All);
    // However long it fails for a single object.
    let asked = users(&["a/bad", "b/idle"]);
    let mut health = Health::default();
    for _ in 0..100 {
        let begun = end(&mut health, "a/bad", now, Some(&trap), &asked);
        assert!(!is_for_all(begun));
        now = now.plus(700_000);
    }
    // Or for the objects of one namespace, however many.
    let mut many: Vec<_> = (0..50).map(|number| user(&format!("a/{number}"))).collect();
    many.push(user("b/idle"));
    for object in &many[..50] {
        for _ in 0..3 {
            let begun = end(&mut health, &object.object, now, Some(&trap), &many);
            assert!(!is_for_all(begun));
        }
    }
    // Nor as long as it is not known who uses it.
    for object in &many {
        for _ in 0..3 {
            let begun = end(
                &mut Health::default(),
                &object.object,
                now,
                Some(&trap),
                &[],
            );
            assert!(!is_for_all(begun));
        }
    }
    for strikes in 1..=3 {
        let begun = end(&mut health, "b/idle", now, Some(&trap), &many);
        assert_eq!(is_for_all(begun), strikes == 3, "both namespaces");
    }
    // The message of its last failure is about an object of another namespace.
    let held = begin(&mut health, "b/idle", now, &many).unwrap_err();
    assert!(held.ends_with("after: PolicyTrapped"), "{held}");
    assert!(held.starts_with("for all objects until"), "{held}");
}

#[test]
fn where_every_object_is_quarantined_it_is_for_all() {
    let trap = trap();
    let fails = |health: &mut Health, object: &str, users: &[PolicyUser]| {
        let begun = (0..3).filter_map(|_| end(health, object, NOW, Some(&trap), users));
        begun.last().is_some_and(|begun| begun.scope == Scope::All)
    };
    assert!(fails(&mut Health::default(), "a/only", &users(&["a/only"])));
    let mut health = Health::default();
    let both = users(&["a/one", "b/two"]);
    assert!(!fails(&mut health, "a/one", &both));
    assert!(fails(&mut health, "b/two", &both));
    assert!(begin(&mut health, "a/new", NOW, &both).is_err());
    // It has not failed there.
    assert_eq!(begin(&mut health, "c/new", NOW, &both), Ok(()));

    // An object that nobody asks about exists too, but its failure is not required. When it
    // wakes up, it is asked about.
    let asleep = PolicyUser {
        is_asked: false,
        ..user("c/asleep")
    };
    let mut health = Health::default();
    assert!(!fails(
        &mut health,
        "a/one",
        &[user("a/one"), asleep.clone()]
    ));
    let three = [user("a/one"), user("b/two"), asleep];
    assert!(fails(&mut health, "b/two", &three));
    assert_eq!(begin(&mut health, "c/asleep", NOW, &three), Ok(()));
    // And again after a single failure.
    assert_eq!(end(&mut health, "c/asleep", NOW, Some(&trap), &three), None);
    assert_eq!(begin(&mut health, "c/asleep", NOW, &three), Ok(()));
}

/// Expanders and scale-down policies are asked about the node groups, which are of no
/// namespace.
#[test]
fn the_node_groups_count_by_themselves() {
    let trap = trap();
    let nodes = Asker {
        object: "node groups",
        namespace: "",
    };
    let node_groups = PolicyUser {
        object: nodes.object.to_owned(),
        namespace: nodes.namespace.into(),
        is_asked: true,
    };
    let both = [user("a/one"), node_groups.clone()];
    let mut health = Health::default();
    for _ in 0..3 {
        assert!(
            end(&mut health, "a/one", NOW, Some(&trap), &both)
                .is_none_or(|begun| begun.scope == Scope::Object)
        );
    }
    assert!(health.begin(nodes, NOW, || known(&both)).is_ok());
    let mut health = Health::default();
    let alone = [node_groups];
    let mut strike = || health.end(nodes, NOW, Some(&trap), || known(&alone));
    assert_eq!((strike(), strike()), (None, None));
    assert_eq!(strike().map(|begun| begun.scope), Some(Scope::All));
}

#[test]
fn a_quarantine_of_a_namespace_is_an_event_while_one_of_another_holds() {
    let trap = trap();
    let both = users(&["a/one", "a/two", "b/three", "c/calm"]);
    let mut health = Health::default();
    let mut scopes = Vec::new();
    for object in ["a/one", "a/two", "b/three", "c/calm"] {
        for _ in 0..3 {
            let begun = end(&mut health, object, NOW, Some(&trap), &both);
            scopes.extend(begun.map(|begun| (object, begun.scope)));
        }
    }
    // That of the second object is not reported while that of the first is in force.
    let reported = [
        ("a/one", Scope::Object),
        ("b/three", Scope::Object),
        ("c/calm", Scope::All),
    ];
    assert_eq!(scopes, reported);
}
