//! How a replay handles failures.

use flyball_decision::policy::PolicyFailure;
use flyball_decision::replay::{AskedPolicy, Replay, replay};
use flyball_replicas::record::DecisionRecord;
use flyball_report::document::Documented as _;
use serde_json::json;

use crate::to;
use crate::world::{World, policy};

#[test]
fn what_ended_a_policy_from_outside_is_taken_as_given() {
    let interrupted = policy("slow", |_, _| {
        Err(PolicyFailure::Interrupted("its time was up".to_owned()))
    });
    for name in ["slow", "gone", "mine"] {
        let mut world = World::new([
            interrupted.clone(),
            policy("mine", |_, _| Ok(to(5))),
            policy("hpa", |_, _| Ok(to(4))),
        ]);
        world.quarantine("mine");
        world.add(
            "a",
            json!({ "policies": [{ "name": name }, { "name": "hpa" }] }),
        );
        world.tick(0);
        let record = world.records().pop().unwrap();
        // The code would answer now, but is not asked about an answer that it was kept
        // from.
        let resolve = |policy: AskedPolicy<'_>| Some(world.policy(&policy.version?.name));
        let Replay::TakenAsGiven {
            name: of,
            failure,
            differs: None,
        } = replay(&*record, resolve)
        else {
            panic!("{name}: {:?}", replay(&*record, resolve));
        };
        let code = match name {
            "slow" => "PolicyInterrupted",
            "gone" => "PolicyMissing",
            _ => "PolicyQuarantined",
        };
        assert_eq!((&*of, failure.code()), (name, code));

        let mut other = (*record).clone();
        other.verdict.to = Some(9);
        assert!(matches!(
            replay(&other, resolve),
            Replay::TakenAsGiven {
                differs: Some(now),
                ..
            } if now == record.verdict
        ));
        // Another policy, tried in its place, is asked.
        let tried = policy("tried", |_, _| Ok(to(9)));
        assert!(matches!(
            replay(&*record, |_| Some(tried.resolve())),
            Replay::Differs { now, .. } if now.proposed == Some(9)
        ));
    }
}

#[test]
fn of_a_policy_that_failed_and_its_fallback_both_are_kept_and_asked_again() {
    let trapped = || PolicyFailure::Trapped("unreachable".to_owned());
    let mine = policy("mine", move |_, _| Err(trapped()));
    let fallback = policy("hpa", |_, _| Ok(to(5)));
    let mut world = World::new([mine, fallback.clone()]);
    world.options(|options| options.fallback = true);
    let used = |name: &str| json!({ "policies": [{ "name": name, "config": { "step": 2 } }] });
    world.add("a", used("mine"));
    world.tick(0);
    let record = world.records().pop().unwrap();
    assert_eq!(
        serde_json::from_str::<DecisionRecord>(&serde_json::to_string(&record).unwrap()).unwrap(),
        *record
    );
    let failed = record.policies[0].failed.as_deref().unwrap();
    assert_eq!(&*failed.version.as_ref().unwrap().digest, "sha256:mine");
    assert_eq!(&*failed.context.configuration, r#"{"step":2}"#);
    assert_eq!(failed.answer, Err(trapped()));
    let text = record.document().to_string();
    assert!(
        text.contains("policy mine 1.0.0 (mine): PolicyTrapped"),
        "{text}"
    );
    assert!(
        text.contains("policy hpa 1.0.0 (hpa) stands in for mine"),
        "{text}"
    );

    let resolve = |policy: AskedPolicy<'_>| {
        let version = policy.version?;
        Some(world.policy(&version.name))
    };
    assert_eq!(replay(&*record, resolve), Replay::Same);
    let only_fallback = |policy: AskedPolicy<'_>| {
        let is_fallback = &*policy.version?.name == "hpa";
        is_fallback.then(|| fallback.resolve())
    };
    assert!(matches!(
        replay(&*record, only_fallback),
        Replay::PolicyUnavailable { name, .. } if &*name == "mine"
    ));
    // A policy tried in its place decides alone: by its answer, or by failing.
    let better = policy("better", |_, _| Ok(to(4)));
    assert!(matches!(
        replay(&*record, |_| Some(better.resolve())),
        Replay::Differs { now, .. } if now.proposed == Some(4)
    ));
    let worse = policy("worse", move |_, _| Err(trapped()));
    assert!(matches!(
        replay(&*record, |_| Some(worse.resolve())),
        Replay::Differs { now, .. } if now.reason == "PolicyTrapped"
    ));

    world.add("b", used("gone"));
    world.tick(15_000);
    let record = world.records().pop().unwrap();
    assert_eq!(&*record.object.name, "b");
    let resolve = |policy: AskedPolicy<'_>| {
        let version = policy.version?;
        Some(world.policy(&version.name))
    };
    assert!(matches!(
        replay(&*record, resolve),
        Replay::TakenAsGiven { name, differs: None, .. } if &*name == "gone"
    ));
}

#[test]
fn what_a_bound_decided_is_decided_again() {
    let bounds = [
        (json!({ "maxReplicas": 2 }), 2),
        (json!({ "minReplicas": 4 }), 4),
    ];
    for (fields, replicas) in bounds {
        let mut world = World::new([]);
        world.add("a", fields);
        world.tick(0);
        assert_eq!(world.replicas("a"), replicas);
        let record = world.records().pop().unwrap();
        assert_eq!((&record.input, record.policies.len()), (&None, 0));
        assert_eq!(replay(&*record, |_| None), Replay::Same);
        let mut within = (*record).clone();
        within.guard.as_mut().unwrap().current = replicas;
        assert!(matches!(
            replay(&within, |_| None),
            Replay::Differs { now, .. } if now.to.is_none()
        ));
    }
}
