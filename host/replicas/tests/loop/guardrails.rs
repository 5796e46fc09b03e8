//! Properties of the guardrails that hold for any input.

use std::sync::Arc;

use flyball_decision::replica::Samples;
use flyball_decision::time::Timestamp;
use flyball_replicas::guard::{GuardInput, defaulted, guard};
use flyball_replicas::spec::{Behavior, ScalingPolicy, ScalingRules};
use proptest::prelude::*;

fn rules() -> impl Strategy<Value = ScalingRules> {
    let policy =
        (any::<bool>(), 1..=200i32, 1..=1800i32).prop_map(|(pods, value, period_seconds)| {
            let kind = if pods { "Pods" } else { "Percent" }.to_owned();
            ScalingPolicy {
                kind,
                value,
                period_seconds,
            }
        });
    let select = prop_oneof!["Max", "Min", "Disabled"].prop_map(Some);
    let policies = prop::collection::vec(policy, 1..4).prop_map(Some);
    (prop::option::of(0..=3600i32), select, policies).prop_map(
        |(window, select_policy, policies)| ScalingRules {
            stabilization_window_seconds: window,
            select_policy,
            policies,
            tolerance: None,
        },
    )
}

fn samples(replicas: impl Strategy<Value = i32>) -> impl Strategy<Value = Samples> {
    let sample = (0..4_000_000i64, replicas);
    prop::collection::vec(sample, 0..8).prop_map(|mut samples| {
        samples.sort_unstable();
        let (at_ms, replicas) = samples.into_iter().unzip();
        Samples { at_ms, replicas }
    })
}

prop_compose! {
    fn inputs()(
        (min, current, max) in (1..50i32, 0..50i32, 0..200i32)
            .prop_map(|(min, up, more)| (min, min + up, min + up + more)),
        proposed in 0..=i32::MAX,
        behavior in prop::option::of((prop::option::of(rules()), prop::option::of(rules()))),
        recommendations in samples(0..300i32),
        scale_events in samples(-50..50i32),
        removable in prop::option::of(-5..60i32),
    ) -> GuardInput {
        let behavior = behavior.map(|(scale_up, scale_down)| {
            Arc::new(defaulted(&Behavior { scale_up, scale_down }))
        });
        GuardInput {
            now: Timestamp(4_000_000),
            current,
            proposed,
            min,
            max,
            behavior,
            downscale_stabilization_ms: 300_000,
            recommendations,
            scale_events,
            removable,
        }
    }
}

fn result(input: &GuardInput) -> i32 {
    guard(input).last().map_or(input.current, |step| step.after)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replicas_are_never_outside_their_bounds(input in inputs()) {
        let replicas = result(&input);
        prop_assert!((input.min..=input.max).contains(&replicas), "{replicas}");
    }

    #[test]
    fn more_asked_for_never_gives_less(input in inputs(), more in 0..1000i32) {
        let proposed = input.proposed.saturating_add(more);
        let higher = GuardInput { proposed, ..input.clone() };
        prop_assert!(result(&higher) >= result(&input));
    }

    #[test]
    fn what_can_be_no_extreme_of_any_window_is_not_missed(
        input in inputs(),
        asked in prop::collection::vec((0..400_000i64, 0..120i32), 1..40),
    ) {
        let (mut all, mut kept) = (Samples::default(), Samples::default());
        let mut now = Timestamp(0);
        for (later, replicas) in asked {
            now = now.plus(later);
            all.push(now, replicas);
            kept.push_extreme(now, replicas);
        }
        prop_assert!(kept.at_ms.len() <= all.at_ms.len());
        let remembering = |recommendations| GuardInput { now, recommendations, ..input.clone() };
        prop_assert_eq!(guard(&remembering(kept)), guard(&remembering(all)));
    }

    #[test]
    fn no_more_go_than_all_objects_together_have_left(input in inputs()) {
        let unbounded = result(&GuardInput { removable: None, ..input.clone() });
        let removable = input.removable.unwrap_or(i32::MAX).max(0);
        prop_assert_eq!(result(&input), unbounded.max(input.current.saturating_sub(removable)));
    }

    #[test]
    fn asking_for_what_there_is_changes_nothing_unless_more_was_asked_for_lately(input in inputs()) {
        let input = GuardInput { proposed: input.current, ..input };
        let replicas = result(&input);
        prop_assert!(replicas == input.current || input.behavior.is_none() && replicas > input.current);
    }
}
