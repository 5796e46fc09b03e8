//! What deciding a record again makes of failures.

use flyball_core::policy::PolicyFailure;
use flyball_core::replay::{Replay, replay};
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
        // The code of today would answer: it is not asked for one that was kept
        // from answering.
        let resolve = |policy: &flyball_core::record::PolicyRecord| {
            let answers = world.policy(&policy.version.as_ref()?.name);
            Some(answers.resolve())
        };
        let Replay::TakenAsGiven {
            name: of,
            failure,
            differs: None,
        } = replay(&record, resolve)
        else {
            panic!("{name}: {:?}", replay(&record, resolve));
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
            replay(&record, |_| Some(tried.resolve())),
            Replay::Differs { now, .. } if now.proposed == Some(9)
        ));
    }
}
