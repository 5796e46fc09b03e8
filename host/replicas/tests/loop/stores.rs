//! State that survives a loop: when it is saved, how large it may be, and that the next
//! loop continues with it.

use flyball_decision::memory::{DamagedSavedState, SAVED_STATE_LIMIT, SavedState};
use flyball_decision::replay::{Replay, replay};
use flyball_decision::replica::ReplicaDecision;
use flyball_replicas::ports::MetricAnswer;
use flyball_replicas::record::{DecisionRecord, Outcome};
use serde_json::json;

use crate::to;
use crate::world::{Policy, World, policy};

/// Adds an x to its state until it has `most` of them.
fn counting(most: usize) -> Policy {
    policy("hpa", move |context, _| {
        let state = format!("{}x", context.state);
        let state = (state.len() <= most).then_some(state);
        let replicas = 3 + context.state.len() as i64;
        Ok(ReplicaDecision {
            state,
            ..to(replicas)
        })
    })
}

fn state(record: &DecisionRecord) -> &str {
    &record.policies[0].context.state
}

#[test]
fn state_is_saved_once_it_has_changed_and_the_write_is_through() {
    let mut world = World::new([counting(2)]);
    world.add("a", json!({ "behavior": {} }));
    world.tick(0);
    assert_eq!(&*world.kept("a").unwrap().states["hpa"].state, "x");
    world.refuse_writes("no quota");
    world.tick(15_000);
    assert!(matches!(world.records()[1].outcome, Outcome::Failed(_)));
    assert_eq!(world.saves().len(), 1);
    world.accept_writes();
    world.tick(30_000);
    let kept = world.kept("a").unwrap();
    assert_eq!(&*kept.states["hpa"].state, "xx");
    assert_eq!(kept.changes.replicas, [1]);
    // The last change of replicas is saved too, then nothing more.
    for tick in 3..10 {
        world.tick(tick * 15_000);
    }
    assert_eq!(world.kept("a").unwrap().changes.replicas, [1, 1]);
    assert_eq!(world.saves().len(), 3);
}

#[test]
fn another_loop_goes_on_with_what_was_kept() {
    let history = counting(2).wants("metric-history", &[("window", "2m"), ("step", "15s")]);
    let mut world = World::new([history]);
    world.observe(|_, seen| seen.metrics = vec![Ok(MetricAnswer::Values([7000].into()))]);
    let external =
        json!({ "metric": { "name": "queue" }, "target": { "type": "Value", "value": "10" } });
    let one_a_day = json!({ "type": "Pods", "value": 1, "periodSeconds": 1800 });
    world.add(
        "a",
        json!({
            "metrics": [{ "type": "External", "external": external }],
            "behavior": { "scaleUp": { "policies": [one_a_day] } },
        }),
    );
    for tick in 0..4 {
        world.tick(tick * 15_000);
    }
    assert_eq!(world.replicas("a"), 4);
    world.restart();
    world.tick(60_000);
    let last = world.records().pop().unwrap();
    assert_eq!(state(&last), "xx");
    assert_eq!(last.policies[0].context.inputs[0].values, [7.0, 7.0, 7.0]);
    // It asks for 5, and one was added a minute ago.
    assert_eq!(last.verdict.proposed, Some(5));
    assert_eq!(world.replicas("a"), 4);
    assert!(
        !world
            .events("a")
            .iter()
            .any(|e| e.starts_with("PolicyChanged"))
    );

    // A state of another version starts anew, with one event.
    world.swap(counting(2).state_version(2));
    world.restart();
    world.tick(75_000);
    world.tick(90_000);
    let records = world.records();
    let states: Vec<_> = records[5..].iter().map(|record| state(record)).collect();
    assert_eq!(states, ["", "x"]);
    let events = world.events("a");
    let resets = events.iter().filter(|e| e.starts_with("PolicyStateReset"));
    assert_eq!(resets.count(), 1);
    let kept = world.kept("a").unwrap();
    assert_eq!(
        (kept.states["hpa"].state_version, kept.target != 0),
        (2, true)
    );
}

#[test]
fn what_is_kept_of_a_target_is_dropped_with_it() {
    let mut world = World::new([counting(9)]);
    let target = |name: &str| json!({ "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name } });
    world.add("a", target("web"));
    world.add("b", json!({}));
    world.tick(0);
    // Between two loops, the object gets another target.
    world.add("a", target("api"));
    world.restart();
    world.tick(15_000);
    let records = world.records();
    assert_eq!((state(&records[2]), state(&records[3])), ("", "x"));
    world.remove("b");
    world.tick(30_000);
    assert!(world.kept("a").is_some() && world.kept("b").is_none());
    assert_eq!(world.gone(), ["b"]);
}

#[test]
fn a_policy_whose_state_leaves_too_little_for_others_is_refused_and_named() {
    let keeping = |name: &str, bytes: usize| {
        policy(name, move |_, _| {
            Ok(ReplicaDecision {
                state: Some("s".repeat(bytes)),
                ..to(5)
            })
        })
    };
    let mut world = World::new([keeping("small", 300), keeping("large", 500)]);
    world.add(
        "a",
        json!({ "policies": [{ "name": "small" }, { "name": "large" }] }),
    );
    world.tick(0);
    let record = &world.records()[0];
    let Err(failure) = &record.policies[1].answer else {
        panic!("{record:?}");
    };
    let text = "its state has 500 bytes, and the object's other policies leave 468 of 768";
    assert_eq!(
        (failure.code(), failure.message()),
        ("PolicyOverLimit", text)
    );
    let event = format!("PolicyOverLimit: policy large: {text}; the target is held");
    assert!(
        world.events("a").contains(&event),
        "{:?}",
        world.events("a")
    );
    let again = replay(&**record, |part| Some(world.policy(part.name)));
    assert_eq!(again, Replay::Same);
    // A growing state takes no room from the states that are already there.
    world.swap(keeping("small", 768));
    world.swap(keeping("large", 10));
    world.tick(15_000);
    world.tick(30_000);
    let records = world.records();
    assert!(records[1].policies[0].failure().is_none());
    assert!(records[1].policies[1].failure().is_some());
    assert!(world.saves().iter().all(fits));
}

fn fits(saved: &SavedState) -> bool {
    saved.to_bytes().len() <= SAVED_STATE_LIMIT
}

#[test]
fn the_longest_names_and_largest_states_fit_into_the_limit_with_the_last_changes() {
    let grows = |name: &str| {
        policy(name, |_, input| {
            Ok(ReplicaDecision {
                state: Some("s".repeat(768)),
                ..to(i64::from(input.current_replicas) + 1)
            })
        })
    };
    let names: Vec<_> = (0..8)
        .map(|row| format!("{row}{}", "n".repeat(62)))
        .collect();
    let asking = |names: &[String]| {
        let named = names.iter().map(|name| json!({ "name": name }));
        json!({ "maxReplicas": 1000, "policies": named.collect::<Vec<_>>() })
    };
    let mut world = World::new(names.iter().map(|name| grows(name)));
    world.add("a", asking(&names[..1]));
    for tick in 0..20 {
        world.tick(tick * 15_000);
    }
    let kept = world.kept("a").unwrap();
    assert!(fits(&kept), "{} bytes", kept.to_bytes().len());
    assert_eq!(kept.states[&*names[0]].state.len(), 768);
    assert_eq!(kept.changes.replicas.iter().sum::<i32>(), 20);
    assert_eq!(kept.changes.at_ms.len(), 14);

    // Long names leave less room to the others, as the failure says.
    let modest = |name: &str| {
        policy(name, |_, input| {
            Ok(ReplicaDecision {
                state: Some("s".repeat(100)),
                ..to(i64::from(input.current_replicas))
            })
        })
    };
    for name in &names {
        world.swap(modest(name));
    }
    world.add("a", asking(&names));
    world.tick(300_000);
    let kept = world.kept("a").unwrap();
    assert!(fits(&kept), "{} bytes", kept.to_bytes().len());
    assert_eq!(kept.states.len(), 4);
    let record = world.records().pop().unwrap();
    let refused = record.policies[4].failure().unwrap().message().to_owned();
    assert_eq!(
        refused,
        "its state has 100 bytes, and the object's other policies leave 88 of 768"
    );
    let again = replay(&*record, |part| Some(world.policy(part.name)));
    assert_eq!(again, Replay::Same);
}

#[test]
fn bytes_that_were_cut_off_or_are_of_another_form_are_nothing_kept() {
    let mut world = World::new([counting(2)]);
    world.add("a", json!({}));
    world.tick(0);
    let bytes = world.kept("a").unwrap().to_bytes();
    for length in 0..bytes.len() {
        assert_eq!(
            SavedState::from_bytes(&bytes[..length]),
            Err(DamagedSavedState)
        );
    }
    let more = [&*bytes, &[0]].concat();
    assert_eq!(SavedState::from_bytes(&more), Err(DamagedSavedState));
    let mut other = bytes;
    other[0] = 2;
    assert_eq!(SavedState::from_bytes(&other), Err(DamagedSavedState));
}

#[test]
fn the_latest_of_histories_and_changes_are_kept_within_the_limit() {
    let grows = policy("hpa", |context, input| {
        let replicas = i64::from(input.current_replicas) + 1;
        let state = Some("s".repeat(700.min(context.now.0 as usize / 30_000)));
        Ok(ReplicaDecision {
            state,
            ..to(replicas)
        })
    });
    let grows = grows
        .wants("metric-history", &[("window", "1h"), ("step", "15s")])
        .wants("metric-history", &[("window", "2h"), ("step", "30s")]);
    let mut world = World::new([grows]);
    world.observe(|_, seen| seen.metrics = vec![Ok(MetricAnswer::Values([7000].into()))]);
    let external =
        json!({ "metric": { "name": "queue" }, "target": { "type": "Value", "value": "10" } });
    world.add(
        "a",
        json!({ "maxReplicas": 1000, "metrics": [{ "type": "External", "external": external }] }),
    );
    for tick in 0..300 {
        world.tick(tick * 15_000);
        let kept = world.kept("a").unwrap();
        let bytes = kept.to_bytes();
        assert!(bytes.len() <= SAVED_STATE_LIMIT, "{} bytes", bytes.len());
        assert_eq!(SavedState::from_bytes(&bytes).as_ref(), Ok(&*kept));
    }
    let kept = world.kept("a").unwrap();
    // Half an hour of changes and the one just made. None is lost.
    let changes = world
        .records()
        .last()
        .unwrap()
        .guard
        .clone()
        .unwrap()
        .scale_events;
    let within = changes
        .at_ms
        .iter()
        .filter(|&&at| 299 * 15_000 - at <= 1_800_000);
    assert_eq!(
        kept.changes.replicas.iter().sum::<i32>() as usize,
        within.count() + 1
    );
    assert_eq!(kept.changes.at_ms.len(), 16);
    assert_eq!(kept.histories.len(), 2);
    let latest = |row: usize| kept.histories[row].first + kept.histories[row].means.len() as i64;
    assert_eq!((latest(0), latest(1)), (299, 149));
    let bytes = kept.to_bytes().len();
    assert!(bytes > SAVED_STATE_LIMIT - 16, "{bytes} bytes");
}
