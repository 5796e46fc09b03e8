//! Rows of observations: the objects of a namespace that have more than its limit are observed
//! one tick after the other, and not all of their columns are kept. Without rows, the number of
//! objects is limited.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flyball_decision::time::Timestamp;
use flyball_replicas::pods::{Phase, Pod, Ready};
use flyball_replicas::ports::{MetricAnswer, Observation, PodSample};
use serde_json::json;

use crate::to;
use crate::world::{World, policy};

/// Returns the objects that were decided in the last tick of this world.
pub(crate) fn decided(world: &mut World, now: i64) -> (Vec<String>, i64) {
    let known = world.records().len();
    let next = world.tick(now);
    let records = world.records();
    let names = records[known..].iter();
    (
        names.map(|record| record.object.name.to_string()).collect(),
        next,
    )
}

/// A world in which each target has five pods, which never change. An object has ten rows: one
/// for each pod, and one for each pod and its metric.
fn world() -> (World, Arc<AtomicUsize>) {
    let mut world = World::new([policy("hpa", |_, _| Ok(to(3)))]);
    for name in ["n0", "n1", "n2", "n3", "n4"] {
        world.add_in("noisy", name, json!({}));
    }
    world.add_in("calm", "z", json!({}));
    let observed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&observed);
    world.observe(move |question, seen| {
        counter.fetch_add(1, Ordering::Relaxed);
        let pod = |row| Pod {
            name: format!("{}-{row}", question.autoscaler.key.name).into(),
            phase: Phase::Running,
            ready: Some((Ready::True, Some(Timestamp(-3_600_000)))),
            start: Some(Timestamp(-3_600_000)),
            ..Pod::default()
        };
        seen.pods = Ok((0..5).map(pod).collect());
        seen.metrics = vec![Ok(MetricAnswer::Pods([].into()))];
    });
    world.limit_rows(25);
    (world, observed)
}

#[test]
fn objects_beyond_the_limit_come_first_in_the_next_tick() {
    let (mut world, observed) = world();
    let all = ["n0", "n1", "z"].map(str::to_owned);
    assert_eq!(decided(&mut world, 0), (all.into(), 1_000));
    assert_eq!(decided(&mut world, 500), (Vec::new(), 1_000));
    assert_eq!(
        observed.swap(0, Ordering::Relaxed),
        6,
        "nothing is known yet"
    );
    let next = ["n2", "n3"].map(str::to_owned);
    assert_eq!(decided(&mut world, 1_000), (next.into(), 2_000));
    assert_eq!(observed.swap(0, Ordering::Relaxed), 2, "none in vain");
    let last = ["n4"].map(str::to_owned);
    assert_eq!(decided(&mut world, 2_000), (last.into(), 15_000));
    let waited = world.records().into_iter();
    let waited: Vec<_> = waited
        .map(|record| record.put_off_since.is_some())
        .collect();
    assert_eq!(waited, [false, false, false, true, true, true]);
}

#[test]
fn an_object_with_more_rows_than_the_limit_is_decided_alone() {
    let (mut world, _) = world();
    world.limit_rows(9);
    let mut decided_in_turn = Vec::new();
    for second in 0..5 {
        let (names, _) = decided(&mut world, second * 1_000);
        decided_in_turn.extend(names.into_iter().filter(|name| name != "z"));
    }
    assert_eq!(decided_in_turn, ["n0", "n1", "n2", "n3", "n4"]);
}

#[test]
fn columns_beyond_the_limit_are_made_anew_for_each_decision() {
    let (mut world, _) = world();
    // The first decision changes the status; the second one leaves it unchanged, and is cached.
    let mut now = 0;
    while now < 30_000 {
        now = world.tick(now);
    }
    assert_eq!(world.records().len(), 12);
    let mut again = Vec::new();
    while now < 45_000 {
        let (names, next) = decided(&mut world, now);
        again.extend(names);
        now = next;
    }
    assert_eq!(again, ["n2", "n3", "n4"]);
    assert_eq!(world.reused_decisions(), 3);

    // Where others have gone, there is room.
    world.remove("n0");
    world.remove("n1");
    while now < 75_000 {
        now = world.tick(now);
    }
    assert!(world.reused_decisions() > 5, "{}", world.reused_decisions());
}

#[test]
fn values_of_other_metrics_samples_of_other_pods_and_texts_count_as_rows() {
    let sample = |row| PodSample {
        pod: format!("other-{row}").into(),
        value: 1,
        timestamp: Timestamp(0),
        window_ms: 15_000,
    };
    let samples: Arc<[PodSample]> = (0..10).map(sample).collect();
    for what in ["values", "samples", "texts"] {
        let samples = Arc::clone(&samples);
        assert_has_ten_rows(what, move |seen| match what {
            "values" => seen.metrics = vec![Ok(MetricAnswer::Values([1; 10].into()))],
            "samples" => seen.metrics = vec![Ok(MetricAnswer::Pods(Arc::clone(&samples)))],
            _ => seen.annotations.texts = vec!["x".repeat(640)],
        });
    }
}

/// No policy is asked about targets at zero, and nothing else of them is limited.
#[test]
fn a_namespace_has_at_most_ten_thousand_objects_in_a_tick_however_few_rows_they_have() {
    let mut world = World::new([policy("hpa", |_, _| Ok(to(3)))]);
    let names: Vec<String> = (0..10_002).map(|row| format!("n{row:05}")).collect();
    for name in &names {
        world.add_in("noisy", name, json!({}));
        world.set_replicas(name, 0);
    }
    world.add_in("calm", "z", json!({}));
    let (first, next) = decided(&mut world, 0);
    assert_eq!((first.len(), next), (10_001, 1_000));
    assert_eq!(first[..10_000], names[..10_000]);
    assert_eq!(first[10_000], "z");
    let rest = names[10_000..].to_vec();
    assert_eq!(decided(&mut world, 1_000), (rest, 15_000));
}

/// Asserts that two of three objects that are observed so fit into 25 rows.
fn assert_has_ten_rows(what: &str, observe: impl Fn(&mut Observation) + Send + Sync + 'static) {
    let mut world = World::new([policy("hpa", |_, _| Ok(to(3)))]);
    let external =
        json!({ "metric": { "name": "queue" }, "target": { "type": "Value", "value": "10" } });
    let queue = json!({ "metrics": [{ "type": "External", "external": external }] });
    for name in ["n0", "n1", "n2"] {
        world.add_in("noisy", name, queue.clone());
    }
    world.observe(move |_, seen| observe(seen));
    world.limit_rows(25);
    let first = ["n0", "n1"].map(str::to_owned);
    assert_eq!(decided(&mut world, 0), (first.into(), 1_000), "{what}");
    let rest = vec!["n2".into()];
    assert_eq!(decided(&mut world, 1_000), (rest, 15_000), "{what}");
}
