//! How a replay of a record about nodes handles failures.

use std::sync::Arc;

use flyball_decision::expander::ExpanderRanking;
use flyball_decision::policy::{Policy, PolicyFailure};
use flyball_decision::replay::{AskedPolicy, Replay, replay};
use flyball_nodes::options::NodeOptions;

use crate::expanders::{expander, first, ranker};
use crate::world::World;
use crate::{defaults, pod};

/// Finds the expanders of the record, as they are now.
fn resolving(world: &World) -> impl Fn(AskedPolicy<'_>) -> Option<Arc<dyn Policy>> {
    |part| world.expander(&part.version?.name)
}

#[test]
fn of_an_expander_that_was_missing_and_its_fallback_the_failure_is_taken_as_given() {
    let missing = |options: &mut NodeOptions| {
        options.expanders[0].name = "gone".into();
        options.fallback = true;
    };
    let mut world = World::new(vec![first()], Some(first()), missing);
    world.group("a", 1000, (0, 0, 5));
    world.pods("web", 1, 0, &pod(600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    let record = world.records().pop().unwrap();
    let again = replay(&*record, resolving(&world));
    assert!(
        matches!(&again, Replay::TakenAsGiven { name, differs: None, .. } if &**name == "gone"),
        "{again:?}"
    );
    // An expander that is tried decides alone, and here lets no group grow.
    let none = expander("none", |_| Ok(Vec::new()));
    let tried = replay(&*record, |_| Some(none.resolve()));
    assert!(matches!(tried, Replay::Differs { now, .. } if now.verdict.orders.is_empty()));
}

#[test]
fn states_that_were_refused_are_refused_again_beside_those_of_expanders_that_were_not_asked() {
    let keeping = |name: &str, most: usize, bytes: usize| {
        ranker(name, move |_, input| {
            let count = u32::try_from(input.options.len()).unwrap();
            Ok(ExpanderRanking {
                best: (0..count.min(u32::try_from(most).unwrap())).collect(),
                state: Some("s".repeat(bytes)),
                ..ExpanderRanking::default()
            })
        })
    };
    let chain = vec![keeping("one", 9, 300), keeping("two", 9, 400)];
    let mut world = World::new(chain, None, defaults);
    for group in ["a", "b"] {
        world.group(group, 1000, (0, 0, 5));
    }
    world.pods("web", 1, 0, &pod(600));
    world.tick(10_000);
    assert_eq!(world.calls().len(), 1);
    let record = world.records().pop().unwrap();
    assert_eq!(replay(&*record, resolving(&world)), Replay::Same);
    // Now only the first decides; the state of the second still counts.
    world.swap(keeping("one", 1, 500));
    world.pods("more", 1, 10_000, &pod(600));
    world.tick(20_000);
    assert_eq!(world.calls(), [""; 0]);
    let record = world.records().pop().unwrap();
    assert_eq!(record.verdict.reason, "PolicyOverLimit");
    let unasked = record.rounds[0].unasked.as_deref().unwrap();
    assert_eq!((&*unasked[0].name, unasked[0].bytes), ("two", 400));
    assert_eq!(replay(&*record, resolving(&world)), Replay::Same);
}

#[test]
fn what_kept_an_expander_from_answering_is_taken_as_given() {
    let failures = [
        PolicyFailure::Interrupted("its time was up".to_owned()),
        PolicyFailure::Quarantined("for half a minute".to_owned()),
        PolicyFailure::Missing("there is no expander gone".to_owned()),
    ];
    for failure in failures {
        let failing = failure.clone();
        let failing = expander("mine", move |_| Err(failing.clone()));
        let mut world = World::new(vec![failing], None, defaults);
        world.group("a", 1000, (0, 0, 5));
        world.pods("web", 1, 0, &pod(600));
        world.tick(10_000);
        let record = world.records().pop().unwrap();
        // The code would answer now, but is not asked about an answer that it was kept
        // from.
        let mended = expander("mine", |_| Ok(vec![0]));
        let resolve = |part: AskedPolicy<'_>| {
            part.version?;
            Some(mended.resolve())
        };
        let again = replay(&*record, resolve);
        let Replay::TakenAsGiven {
            name,
            failure: given,
            differs: None,
        } = again
        else {
            panic!("{failure}: {again:?}");
        };
        assert_eq!((&*name, &given), ("mine", &failure));
        let mut other = (*record).clone();
        other.verdict.reason = "ScaleUp".to_owned();
        assert!(matches!(
            replay(&other, resolve),
            Replay::TakenAsGiven {
                differs: Some(now),
                ..
            } if now.verdict.reason == failure.code()
        ));
        // Another expander, tried in its place, is asked.
        let tried = replay(&*record, |_| Some(first().resolve()));
        assert!(
            matches!(&tried, Replay::Differs { now, .. } if now.verdict.reason != failure.code()),
            "{failure}: {tried:?}"
        );
    }
}
