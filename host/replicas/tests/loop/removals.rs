//! Limit on the replicas removed at once, which keeps one wrong signal from taking down
//! everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flyball_decision::replay::{Replay, replay};
use flyball_replicas::pods::{Phase, Pod, Ready};
use flyball_replicas::ports::{Observation, ObservationError, Question};
use flyball_replicas::record::DecisionRecord;
use serde_json::{Value, json};

use crate::to;
use crate::world::{World, policy};

const OBJECTS: i32 = 40;

/// Objects that observe the same pods in turn, one second after the other.
const IN_TURN: i32 = 15;

/// A world in which all replicas are ready, but for the target `vast`, of which five are.
fn ready(policies: [crate::world::Policy; 1]) -> World {
    let mut world = World::new(policies);
    world.observe(observe_ready);
    world
}

fn observe_ready(question: &Question, observation: &mut Observation) {
    let replicas = observation.scale.as_ref().unwrap().spec_replicas;
    let ready = match &*question.autoscaler.key.name {
        "vast" => replicas.min(5),
        _ => replicas,
    };
    observation.pods = Ok(ready_pods(&question.autoscaler.key.name, ready));
}

fn ready_pods(target: &str, count: i32) -> Arc<[Pod]> {
    let pod = |row| Pod {
        name: format!("{target}-{row}").into(),
        phase: Phase::Running,
        ready: Some((Ready::True, None)),
        ..Pod::default()
    };
    (0..count).map(pod).collect()
}

/// Forty targets of ten replicas each, for which the policy asks for one.
fn idle(change: impl FnOnce(&mut flyball_replicas::options::ReplicaOptions)) -> World {
    let mut world = ready([policy("hpa", |_, _| Ok(to(1)))]);
    world.options(change);
    add_targets(&mut world);
    world
}

fn add_targets(world: &mut World) {
    for row in 0..OBJECTS {
        let name = format!("web-{row:02}");
        world.add(&name, at_once());
        world.set_replicas(&name, 10);
    }
}

/// A spec that lets the object scale down at once.
fn at_once() -> Value {
    json!({ "behavior": { "scaleDown": { "stabilizationWindowSeconds": 0 } } })
}

fn total(world: &World) -> i32 {
    (0..OBJECTS)
        .map(|row| world.replicas(&format!("web-{row:02}")))
        .sum()
}

#[test]
fn no_more_than_a_share_of_all_replicas_goes_within_a_minute() {
    let mut world = idle(|_| {});
    let mut totals = Vec::new();
    for tick in 0..24 {
        world.tick(tick * 15_000);
        totals.push(total(&world));
    }
    // A quarter of 400 goes at once, then nothing for a minute.
    assert_eq!(totals[..5], [300, 300, 300, 300, 225]);
    assert!(
        totals
            .windows(5)
            .all(|five| f64::from(five[4]) >= 0.75 * f64::from(five[0]) - 10.0)
    );
    let records = world.records();
    let held: Vec<&DecisionRecord> = records
        .iter()
        .map(|record| &**record)
        .filter(|record| {
            record
                .guard_steps
                .iter()
                .any(|s| s.guardrail == "MassScaleDown")
        })
        .collect();
    assert!(held.len() > 20);
    let limited = world.condition("web-39", "ScalingLimited");
    assert_eq!(
        (&*limited.status, &*limited.reason),
        ("True", "MassScaleDown")
    );
    for record in held {
        let line = serde_json::to_string(&record).unwrap();
        let read = serde_json::from_str::<DecisionRecord>(&line).unwrap();
        let again = replay(&read, |_| Some(world.policy("hpa")));
        assert_eq!(again, Replay::Same);
    }
    // In the end the replicas are those asked for.
    for tick in 24..100 {
        world.tick(tick * 15_000);
    }
    assert_eq!(total(&world), OBJECTS);
}

#[test]
fn the_share_is_the_operators_and_one_object_alone_is_no_mass() {
    let mut world = idle(|options| options.max_scale_down_share = 1.0);
    world.tick(0);
    assert_eq!(total(&world), OBJECTS);

    let mut world = ready([policy("hpa", |_, _| Ok(to(1)))]);
    let mut wide = at_once();
    wide["maxReplicas"] = json!(1000);
    world.add("a", wide);
    world.set_replicas("a", 1000);
    world.tick(0);
    assert_eq!(world.replicas("a"), 1);
}

/// A bound is the user's choice and not a signal that could be wrong, so it is neither
/// limited nor counted: whoever lowers their bounds does not hold others.
#[test]
fn what_is_above_max_goes_at_once_and_does_not_count() {
    let mut world = idle(|_| {});
    let mut lowered = at_once();
    lowered["maxReplicas"] = json!(2);
    for row in 0..30 {
        world.add(&format!("web-{row:02}"), lowered.clone());
    }
    world.tick(0);
    // Of the 160 that are left, a quarter goes.
    assert_eq!(total(&world), 30 * 2 + 10 * 10 - 40);
    let waits = world.condition("web-39", "ScalingLimited");
    assert_eq!((&*waits.status, &*waits.reason), ("True", "MassScaleDown"));
    let bound = world.records()[0].clone();
    assert_eq!(bound.verdict.reason, "OutOfBounds");
    assert_eq!(replay(&*bound, |_| None), Replay::Same);
}

/// A million replicas of which five are ready: they neither lift the limit for the others
/// nor use it up, and the target itself loses what is not ready at once.
#[test]
fn replicas_that_are_not_ready_do_not_count() {
    let mut world = idle(|_| {});
    let mut vast = at_once();
    vast["maxReplicas"] = json!(2_000_000);
    world.add_in("tenant", "vast", vast);
    world.set_replicas("vast", 1_000_000);
    world.tick(0);
    assert_eq!(world.replicas("vast"), 1);
    // A quarter of 405, of which `vast` had four.
    assert_eq!(total(&world), 400 - (101 - 4));
}

/// A target that comes up again after each removal uses up no more of the limit than its
/// namespace has.
#[test]
fn a_namespace_uses_up_no_more_than_it_has() {
    let mut world = ready([policy("hpa", |_, input| {
        let replicas = match &*input.target.name {
            "calm" if input.current_replicas > 160 => input.current_replicas.into(),
            _ => 1,
        };
        Ok(to(replicas))
    })]);
    let mut wide = at_once();
    wide["maxReplicas"] = json!(200);
    world.add_in("tenant", "noisy", wide.clone());
    world.add("calm", wide);
    world.set_replicas("calm", 161);
    for tick in 0..3 {
        world.set_replicas("noisy", 20);
        world.tick(tick * 15_000);
        assert_eq!(world.replicas("noisy"), 1);
    }
    world.set_replicas("calm", 160);
    world.tick(45_000);
    // As many as it has, less the 20 of the other namespace.
    assert_eq!(world.replicas("calm"), 20);
}

/// A tenant with 100 ready pods and a few objects, each of which is due when all these pods have
/// the labels that it selects.
fn moving_labels() -> World {
    let mut world = World::new([policy("hpa", |_, input| {
        let is_idle = input.target.name.starts_with("web-");
        let replicas = if is_idle { 1 } else { input.current_replicas };
        Ok(to(replicas.into()))
    })]);
    let pods = ready_pods("moving", 100);
    world.observe(move |question: &Question, observation: &mut Observation| {
        if &*question.autoscaler.key.namespace == "tenant" {
            observation.pods = Ok(Arc::clone(&pods));
        } else {
            observe_ready(question, observation);
        }
    });
    world.set_ready_pods("tenant", 100);
    let mut wide = at_once();
    wide["maxReplicas"] = json!(100);
    for turn in 0..IN_TURN {
        let name = format!("moving-{turn:02}");
        world.add_in("tenant", &name, wide.clone());
        world.set_replicas(&name, 100);
        world.tick(i64::from(turn) * 1000);
    }
    world
}

/// Pods that were observed with the labels of several objects neither lift the limit for others
/// nor use it up more than once.
#[test]
fn pods_whose_labels_move_count_once() {
    let mut world = moving_labels();
    add_targets(&mut world);
    world.tick(15_000);
    // A quarter of 500.
    assert_eq!(total(&world), 400 - 125);

    // The pods stay, since the targets do not own them.
    let mut world = moving_labels();
    world.swap(policy("hpa", |_, _| Ok(to(1))).state_version(2));
    for turn in 0..IN_TURN {
        world.tick(15_000 + i64::from(turn) * 1000);
    }
    for turn in 0..IN_TURN {
        world.remove(&format!("moving-{turn:02}"));
    }
    add_targets(&mut world);
    world.tick(30_000);
    // A quarter of 500, less the 100 of the tenant.
    assert_eq!(total(&world), 400 - 25);
}

/// `a` has 13 replicas, then 10 because of its bound, and its policy asks for one. That of
/// `c` asks for six.
fn bounded_then_idle() -> World {
    let idle = policy("hpa", |_, input| {
        let wanted = match &*input.target.name {
            "a" => 1,
            "c" => 6,
            _ => input.current_replicas,
        };
        Ok(to(wanted.into()))
    });
    let mut world = ready([idle]);
    world.add("a", at_once());
    world.set_replicas("a", 13);
    world.tick(0);
    assert_eq!(world.replicas("a"), 10);
    world
}

#[test]
fn what_an_object_lost_itself_does_not_hold_it() {
    // As with a HorizontalPodAutoscaler.
    let mut world = bounded_then_idle();
    world.tick(15_000);
    assert_eq!(world.replicas("a"), 1);

    // Another object that keeps its replicas changes nothing.
    let mut world = bounded_then_idle();
    world.add("b", json!({}));
    world.set_replicas("b", 10);
    world.tick(15_000);
    assert_eq!((world.replicas("a"), world.replicas("b")), (1, 10));
}

#[test]
fn what_others_lost_holds_an_object_until_the_minute_is_over() {
    let mut world = bounded_then_idle();
    world.add("c", at_once());
    world.set_replicas("c", 10);
    world.tick(1_000);
    assert_eq!(world.replicas("c"), 6);
    world.tick(15_000);
    // Ten may be removed, of which others have lost four.
    assert_eq!(world.replicas("a"), 4);
    // What the limit cut off is not granted again at each sync.
    for seconds in [30, 45, 60] {
        world.tick(seconds * 1000);
        assert_eq!(world.replicas("a"), 4, "{seconds}");
    }
    world.tick(75_000);
    assert_eq!(world.replicas("a"), 1);
}

#[test]
fn what_could_not_be_written_does_not_count() {
    let mut world = idle(|_| {});
    world.refuse_writes("no quota");
    world.tick(0);
    assert_eq!(total(&world), 400);
    world.accept_writes();
    world.tick(15_000);
    assert_eq!(total(&world), 300);
}

/// Replicas that were there do not lift the limit for others once they can't be read: the
/// target may be gone, or another object's.
#[test]
fn replicas_that_cannot_be_read_any_more_do_not_count() {
    let mut world = World::new([policy("hpa", |_, _| Ok(to(1)))]);
    let is_gone = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&is_gone);
    world.observe(move |question: &Question, observation: &mut Observation| {
        observe_ready(question, observation);
        if &*question.autoscaler.key.name == "moved" && gone.load(Ordering::Relaxed) {
            observation.scale = Err(ObservationError {
                class: "scaleUnavailable",
                message: "not found".to_owned(),
            });
        }
    });
    let never_down = json!({ "scaleDown": { "selectPolicy": "Disabled" } });
    world.add(
        "moved",
        json!({ "maxReplicas": 1000, "behavior": never_down }),
    );
    world.set_replicas("moved", 1000);
    world.tick(0);
    is_gone.store(true, Ordering::Relaxed);
    add_targets(&mut world);
    world.tick(15_000);
    assert_eq!(total(&world), 300);
}
