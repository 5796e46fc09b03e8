//! Every message is of bounded size and free of control characters, whatever is in the
//! texts that it is made of.

use flyball_decision::context::Reason;
use flyball_decision::policy::PolicyFailure;
use flyball_decision::replica::ReplicaDecision;
use flyball_decision::text::{MESSAGE_BYTES, NOTE_BYTES};
use flyball_replicas::pods::Pod;
use flyball_replicas::ports::ObservationError;
use flyball_replicas::record::{DecisionRecord, Outcome};
use flyball_test_support::cases;
use proptest::prelude::*;
use serde_json::json;

use crate::world::{World, policy};

/// Texts of any length, some of which grow when names take the place of placeholders.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "(?s).{0,40}",
        "(?s).{1,8}".prop_map(|text| text.repeat(1000)),
        Just("{pod:0}".repeat(140)),
        Just("\u{1b}]0;title\u{7}\r\nforged line".to_owned()),
    ]
}

/// What goes wrong.
#[derive(Clone, Debug)]
enum Fault {
    Answer,
    Failure,
    Scale,
    Pods,
    Write,
}

fn fault() -> impl Strategy<Value = Fault> {
    use Fault::{Answer, Failure, Pods, Scale, Write};
    prop::sample::select(vec![Answer, Failure, Scale, Pods, Write])
}

fn decided(text: &str, name: &str, fault: Fault) -> World {
    let (sentence, failure) = (text.to_owned(), text.to_owned());
    let fails = matches!(fault, Fault::Failure);
    let holds = matches!(fault, Fault::Answer);
    let mut world = World::new([policy("hpa", move |_, _| {
        if fails {
            return Err(PolicyFailure::Trapped(failure.clone()));
        }
        Ok(ReplicaDecision {
            replicas: (!holds).then_some(5),
            reason: Reason {
                code: "Any".to_owned(),
                sentence: sentence.clone(),
                ..Reason::default()
            },
            ..ReplicaDecision::default()
        })
    })]);
    let target = json!({ "type": "AverageValue", "averageValue": "1" });
    let metric = json!({ "metric": { "name": name }, "target": target });
    let metrics = json!([{ "type": "External", "external": metric }]);
    world.add("a", json!({ "metrics": metrics }));
    let (name, text, of_write) = (name.to_owned(), text.to_owned(), text.to_owned());
    if matches!(fault, Fault::Write) {
        world.refuse_writes(&of_write);
    }
    world.observe(move |_, seen| {
        let error = |class| ObservationError {
            class,
            message: text.clone(),
        };
        let pod = Pod {
            name: name.as_str().into(),
            ..Pod::default()
        };
        seen.pods = Ok([pod].into());
        seen.metrics = vec![Err(error("metricsUnavailable"))];
        match fault {
            Fault::Scale => seen.scale = Err(error("scaleUnavailable")),
            Fault::Pods => seen.pods = Err(error("ambiguousSelector")),
            Fault::Answer | Fault::Failure | Fault::Write => {}
        }
    });
    world.tick(0);
    world
}

/// Returns all messages of a record, each with its limit.
fn messages(record: &DecisionRecord) -> Vec<(&str, usize)> {
    let verdict = [(&*record.verdict.message, MESSAGE_BYTES)];
    let outcome = match &record.outcome {
        Outcome::Failed(message) => Some((&**message, MESSAGE_BYTES)),
        _ => None,
    };
    let conditions = record.conditions.iter();
    let conditions = conditions.map(|condition| (&*condition.message, MESSAGE_BYTES));
    let events = record.events.iter();
    let events = events.map(|event| (&*event.message, NOTE_BYTES));
    let metrics = record.input.iter().flat_map(|input| &input.metrics);
    let metrics = metrics.map(|metric| (&*metric.message, MESSAGE_BYTES));
    let all = verdict.into_iter().chain(outcome).chain(conditions);
    all.chain(events).chain(metrics).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(300)))]

    #[test]
    fn no_message_is_long_or_has_control_characters(
        text in text(), name in text(), fault in fault(),
    ) {
        let world = decided(&text, &name, fault);
        let records = world.records();
        prop_assert!(!records.is_empty());
        for (message, most) in records.iter().flat_map(|record| messages(record)) {
            prop_assert!(message.len() <= most, "{} bytes: {message}", message.len());
            prop_assert!(!message.contains(char::is_control), "{message:?}");
        }
    }
}
