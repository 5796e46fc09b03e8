//! Objects for which a new version of their policy fails: the previous version keeps
//! deciding, with its state and its wanted inputs, and status and events name it.

use flyball_decision::policy::PolicyFailure;
use flyball_decision::replay::{AskedPolicy, Replay, replay};
use flyball_decision::replica::ReplicaDecision;
use flyball_replicas::ports::MetricAnswer;
use flyball_replicas::record::DecisionRecord;
use flyball_report::document::Documented as _;
use serde_json::json;

use crate::to;
use crate::world::{Policy, World, policy};

/// Asks for five, and counts its decisions in its state.
fn first() -> Policy {
    let counts = policy("mine", |context, _| {
        Ok(ReplicaDecision {
            state: Some(format!("{}x", context.state)),
            ..to(5)
        })
    });
    counts.digest("first")
}

/// Asks for six, but fails for the target `bad`. Its state is of another version.
fn second() -> Policy {
    let fails = policy("mine", |context, input| match &*input.target.name {
        "bad" => Err(PolicyFailure::Trapped("unreachable".to_owned())),
        _ => Ok(ReplicaDecision {
            state: Some(format!("{}y", context.state)),
            ..to(6)
        }),
    });
    fails.digest("second").state_version(2).after([first()])
}

fn uses_mine() -> serde_json::Value {
    json!({ "policies": [{ "name": "mine" }] })
}

fn last(world: &World, name: &str) -> DecisionRecord {
    let records = world.records().into_iter().rev();
    let mut own = records.filter(|record| *record.object.name == *name);
    (*own.next().unwrap()).clone()
}

fn decided_by(record: &DecisionRecord) -> (&str, &str) {
    let part = &record.policies[0];
    (
        part.version.as_ref().unwrap().short_digest(),
        &part.context.state,
    )
}

#[test]
fn an_object_for_which_only_the_new_version_fails_keeps_the_old_one_and_says_so() {
    let mut world = World::new([first()]);
    world.add("bad", uses_mine());
    world.add("good", uses_mine());
    world.tick(0);
    world.swap(second());
    for tick in 1..4 {
        world.tick(tick * 15_000);
    }
    let kept = last(&world, "bad");
    assert_eq!(decided_by(&kept), ("first", "xxx"), "its state goes on");
    assert_eq!(decided_by(&last(&world, "good")), ("second", "yy"));
    assert_eq!((world.replicas("bad"), world.replicas("good")), (5, 6));

    // Condition, events and explanation name who decided, and who failed.
    let healthy = world.condition("bad", "PoliciesHealthy");
    assert_eq!(
        (&*healthy.status, &*healthy.reason, &*healthy.message),
        (
            "False",
            "PolicyTrapped",
            "policy mine: unreachable; the version before, first (first), goes on deciding"
        )
    );
    let told = world.events("bad");
    assert!(
        told.contains(&format!("PolicyTrapped: {}", healthy.message)),
        "{told:?}"
    );
    let others = ["PolicyChanged", "PolicyStateReset"];
    let misled = |event: &&String| others.iter().any(|other| event.starts_with(other));
    assert_eq!(told.iter().find(misled), None);
    assert!(world.events("good").iter().any(|event| misled(&event)));
    let text = kept.document().to_string();
    for line in [
        "policy mine second (second): PolicyTrapped",
        "the version before, mine first (first), goes on deciding",
        "policy mine first (first) asks for 5",
    ] {
        assert!(text.contains(line), "{text}");
    }

    // The record is complete, and the same code decides the same again.
    let line = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<DecisionRecord>(&line).unwrap(), kept);
    let resolve = |part: AskedPolicy<'_>| match part.version?.short_digest() {
        "first" => Some(first().resolve()),
        _ => Some(second().resolve()),
    };
    assert_eq!(replay(&kept, resolve), Replay::Same);

    // Once it no longer fails, it decides, and starts without a state.
    let mended = policy("mine", |_, _| Ok(to(7))).digest("third");
    world.swap(mended.state_version(2).after([second()]));
    world.tick(60_000);
    assert_eq!(decided_by(&last(&world, "bad")), ("third", ""));
    assert!(
        world
            .events("bad")
            .iter()
            .any(|event| event.starts_with("PolicyStateReset"))
    );
}

#[test]
fn versions_before_are_asked_in_turn_and_the_fallback_after_them() {
    let fails = |digest: &str, failure: PolicyFailure| {
        policy("mine", move |_, _| Err(failure.clone())).digest(digest)
    };
    let limit = || PolicyFailure::OverLimit("memory".to_owned());
    let held = PolicyFailure::Quarantined("for 30 s more".to_owned());
    let third = |before: Vec<Policy>| fails("third", held.clone()).after(before);
    let fallback = || policy("hpa", |_, _| Ok(to(4)));
    for (before, fallback_asked, decided) in [
        (vec![fails("second", limit()), first()], true, Some("first")),
        (vec![fails("second", limit())], true, Some("hpa")),
        (vec![fails("second", limit())], false, None),
    ] {
        let mut world = World::new([third(before), fallback()]);
        world.options(|options| options.fallback = fallback_asked);
        world.add("a", uses_mine());
        world.tick(0);
        let record = last(&world, "a");
        let part = &record.policies[0];
        assert_eq!(part.failure(), Some(&held), "that of the active version");
        let answered = record.verdict.proposed.and(part.version.as_ref());
        assert_eq!(answered.map(|version| version.short_digest()), decided);
        assert_eq!(part.previous, decided == Some("first"));
    }
    // A version that refuses has decided: no other one is asked in its place.
    let refuses = fails("second", PolicyFailure::Refused("no".to_owned()));
    let mut world = World::new([refuses.after([first()])]);
    world.add("a", uses_mine());
    world.tick(0);
    assert_eq!(last(&world, "a").verdict.proposed, None);
}

#[test]
fn the_version_before_gets_what_it_wants_as_long_as_it_decides() {
    let wants = [("window", "2m"), ("step", "15s")];
    let first = first().wants("metric-history", &wants);
    let mut world = World::new([first.clone()]);
    world.observe(|_, seen| seen.metrics = vec![Ok(MetricAnswer::Values([7000].into()))]);
    let external =
        json!({ "metric": { "name": "queue" }, "target": { "type": "Value", "value": "10" } });
    let metrics = json!([{ "type": "External", "external": external }]);
    for name in ["bad", "good"] {
        let mut fields = uses_mine();
        fields["metrics"] = metrics.clone();
        world.add(name, fields);
    }
    world.tick(0);
    world.tick(15_000);
    world.swap(second().after([first]));
    for tick in 2..5 {
        world.tick(tick * 15_000);
    }
    let kept = last(&world, "bad");
    assert_eq!(decided_by(&kept).0, "first");
    assert_eq!(kept.policies[0].context.inputs[0].values, [7.0; 4]);
    assert!(last(&world, "good").policies[0].context.inputs.is_empty());
}

#[test]
fn a_state_that_the_version_before_keeps_counts_for_the_others() {
    let keeps = |name: &str, bytes: usize| {
        policy(name, move |_, _| {
            Ok(ReplicaDecision {
                state: Some("s".repeat(bytes)),
                ..to(5)
            })
        })
    };
    let both = json!({ "policies": [{ "name": "mine" }, { "name": "other" }] });
    let mut world = World::new([keeps("mine", 700).digest("first"), keeps("other", 10)]);
    world.add("bad", both);
    world.tick(0);
    let first = policy("mine", |_, _| Ok(to(5))).digest("first");
    world.swap(second().after([first]));
    world.swap(keeps("other", 100));
    world.tick(15_000);
    let record = last(&world, "bad");
    assert_eq!(decided_by(&record).0, "first");
    let failure = record.policies[1].failure().unwrap();
    assert_eq!(failure.code(), "PolicyOverLimit", "{failure}");
}

#[test]
fn a_rollback_is_told_once_and_resets_a_state_of_another_version() {
    let mut world = World::new([first()]);
    world.add("bad", uses_mine());
    world.add("good", uses_mine());
    world.tick(0);
    world.swap(second());
    world.tick(15_000);
    world.swap(first().in_place_of(&second(), "quarantined for all objects"));
    world.add("new", uses_mine());
    for tick in 2..5 {
        world.tick(tick * 15_000);
    }
    let told = "PolicyRolledBack: policy mine: version second (second) was rolled back: \
                quarantined for all objects; version first (first) decides again";
    for (name, state, told_times) in [("bad", "xxxx", 1), ("good", "xx", 1), ("new", "xx", 0)] {
        let record = last(&world, name);
        assert_eq!(decided_by(&record), ("first", state), "{name}");
        let events = world.events(name);
        let count = events.iter().filter(|event| *event == told).count();
        assert_eq!(count, told_times, "{name}: {events:?}");
        assert_eq!(*world.condition(name, "PoliciesHealthy").status, *"True");
    }
}
