#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use super::{Asker, Ended, Health, OBJECTS, PolicyFailure, PolicyUser, Timestamp};

fn trap() -> PolicyFailure {
    PolicyFailure::Trapped("wasm `unreachable`".into())
}

fn end(
    health: &mut Health,
    object: &str,
    now: Timestamp,
    failure: Option<&PolicyFailure>,
    users: &[PolicyUser],
) -> Ended {
    let namespace = object.split('/').next().unwrap();
    health.end(Asker { object, namespace }, now, failure, || users.into())
}

fn user(object: &str) -> PolicyUser {
    PolicyUser {
        object: object.to_owned(),
        namespace: object.split('/').next().unwrap().into(),
        is_asked: true,
    }
}

#[test]
fn quarantine_follows_three_strikes_and_backs_off() {
    let trap = trap();
    let mut health = Health::default();
    let end = |health: &mut Health, now, failure| end(health, "a", now, failure, &[]).quarantined;
    let mut now = Timestamp(1_000_000);
    assert_eq!(end(&mut health, now, Some(&trap)), None);
    let refused = PolicyFailure::Refused("no".into());
    assert_eq!(end(&mut health, now, Some(&refused)), None);
    let no_misbehaviour = end(&mut health, now, Some(&trap));
    assert_eq!(no_misbehaviour, None, "a refusal is no misbehaviour");
    assert_eq!(end(&mut health, now, Some(&trap)), None);
    for seconds in [30, 60, 120, 240, 480, 600, 600] {
        let until = end(&mut health, now, Some(&trap)).map(|until| until.since(now));
        assert_eq!(until, Some(seconds * 1_000));
        assert_eq!(
            end(&mut health, now, Some(&trap)),
            None,
            "already under way"
        );
        assert!(health.begin("a", now.plus(seconds * 1_000 - 1)).is_err());
        now = now.plus(seconds * 1_000);
        assert!(health.begin("a", now).is_ok(), "tried again");
    }
    assert_eq!(end(&mut health, now, None), None);
    assert!(health.objects.is_empty(), "one success clears it");
    assert_eq!(end(&mut health, now, Some(&trap)), None);
    assert_eq!((health.decisions, health.failures), (20, 19));
}

#[test]
fn what_is_remembered_of_objects_has_an_end() {
    let trap = trap();
    let mut health = Health::default();
    let now = Timestamp(1_000_000);
    let strike = |health: &mut Health, object: &str, now| {
        end(health, "good", now, None, &[]);
        end(health, object, now, Some(&trap), &[]).quarantined
    };
    for _ in 0..3 {
        for object in 0..OBJECTS {
            strike(&mut health, &object.to_string(), now);
        }
    }
    let (until, reason) = health.quarantined().unwrap();
    assert_eq!(until, now.plus(30_000));
    assert_eq!(
        reason,
        "9999 and 9999 more: PolicyTrapped: wasm `unreachable`"
    );
    for _ in 0..3 {
        assert_eq!(strike(&mut health, "one more", now), None);
    }
    assert!(health.begin("one more", now).is_ok(), "asked each time");
    assert_eq!(strike(&mut health, "one more", now.plus(30_000)), None);
    assert_eq!(health.objects.len(), 1, "the others' quarantine is over");
}

#[test]
fn what_fails_for_every_object_is_not_tried_with_each() {
    let trap = trap();
    let mut health = Health::default();
    let now = Timestamp(1_000_000);
    let strike = |health: &mut Health, objects: std::ops::Range<u32>, now| {
        let ends = objects.map(|object| end(health, &object.to_string(), now, Some(&trap), &[]));
        ends.filter_map(|ended| ended.quarantined)
            .collect::<Vec<_>>()
    };
    assert!(strike(&mut health, 0..29, now).is_empty());
    end(&mut health, "good", now, None, &[]);
    assert!(strike(&mut health, 29..58, now).is_empty(), "in a row");
    assert_eq!(strike(&mut health, 58..59, now), [now.plus(30_000)]);
    assert!(health.begin("never asked before", now).is_err());
    let (_, reason) = health.quarantined().unwrap();
    assert!(reason.starts_with("all objects: PolicyTrapped"), "{reason}");

    // One is enough after that, until an answer succeeds.
    let now = now.plus(30_000);
    assert!(health.begin("good", now).is_ok());
    assert_eq!(strike(&mut health, 59..60, now), [now.plus(60_000)]);
    end(&mut health, "good", now, None, &[]);
    assert!(health.begin("never asked before", now).is_ok());
}

#[test]
fn no_object_and_no_namespace_alone_is_all() {
    let trap = trap();
    let mut now = Timestamp(1_000_000);
    let fails = |health: &mut Health, object: &str, now, users: &[PolicyUser]| {
        end(health, object, now, Some(&trap), users).for_all
    };
    // A single object does not count as all while no other is asked about, however long
    // it fails.
    let users = [user("a/bad"), user("b/idle")];
    let mut health = Health::default();
    for _ in 0..100 {
        assert!(!fails(&mut health, "a/bad", now, &users));
        now = now.plus(700_000);
    }
    // Nor do the objects of one namespace, however many.
    let many: Vec<_> = (0..50).map(|number| user(&format!("a/{number}"))).collect();
    let users = [&many[..], &[user("b/idle")]].concat();
    for object in &many {
        for _ in 0..3 {
            assert!(!fails(&mut health, &object.object, now, &users));
        }
    }
    assert!(fails(&mut health, "b/idle", now, &users), "in a row still");
}

#[test]
fn where_every_object_is_quarantined_it_is_for_all() {
    let trap = trap();
    let now = Timestamp(1_000_000);
    let fails = |health: &mut Health, object: &str, users: &[PolicyUser]| {
        (0..3).any(|_| end(health, object, now, Some(&trap), users).for_all)
    };
    assert!(fails(&mut Health::default(), "a/only", &[user("a/only")]));
    let mut health = Health::default();
    let users = [user("a/one"), user("b/two")];
    assert!(!fails(&mut health, "a/one", &users));
    assert!(fails(&mut health, "b/two", &users));
    assert!(health.begin("c/new", now).is_err());

    // An object that nobody asks about exists too, but its failure is not required.
    let asleep = PolicyUser {
        is_asked: false,
        ..user("c/asleep")
    };
    let mut health = Health::default();
    let users = [user("a/one"), asleep.clone()];
    assert!(!fails(&mut health, "a/one", &users));
    let users = [user("a/one"), user("b/two"), asleep];
    assert!(fails(&mut health, "b/two", &users));
    assert!(!fails(&mut Health::default(), "a/one", &[]), "nobody told");
}

#[test]
fn objects_that_are_not_asked_about_keep_no_version_for_the_others() {
    let trap = trap();
    let now = Timestamp(1_000_000);
    let lost = PolicyUser {
        is_asked: false,
        ..user("c/lost")
    };
    let many: Vec<_> = (0..30).map(|number| user(&format!("a/{number}"))).collect();
    let users = [&many[..], &[lost]].concat();
    let mut health = Health::default();
    let mut ends = many.iter().map(|user| {
        let ended = end(&mut health, &user.object, now, Some(&trap), &users);
        ended.for_all
    });
    assert!(ends.any(|for_all| for_all), "of every namespace there is");
}

#[test]
fn a_quarantine_for_all_is_an_event_while_one_of_an_object_holds() {
    let trap = trap();
    let now = Timestamp(1_000_000);
    let users = [user("a/one"), user("b/two")];
    let mut health = Health::default();
    let mut ends = Vec::new();
    for object in ["a/one", "b/two"] {
        for _ in 0..3 {
            ends.push(end(&mut health, object, now, Some(&trap), &users));
        }
    }
    let of_one = Ended {
        quarantined: Some(now.plus(30_000)),
        for_all: false,
    };
    let of_all = Ended {
        for_all: true,
        ..of_one
    };
    let nothing = Ended::default();
    assert_eq!(ends, [nothing, nothing, of_one, nothing, nothing, of_all]);
}
