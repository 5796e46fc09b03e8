//! Every message is of bounded size and free of control characters, whatever is in the
//! texts that it is made of.

use flyball_decision::context::Reason;
use flyball_decision::expander::ExpanderRanking;
use flyball_decision::policy::PolicyFailure;
use flyball_decision::scale_down::{NodeVerdicts, PodVerdicts, node_verdict, pod_verdict};
use flyball_decision::text::{MESSAGE_BYTES, NOTE_BYTES};
use flyball_nodes::cloud::{InstanceError, InstanceState};
use flyball_nodes::scale_down::ScaleDownMode;
use flyball_test_policies::{TestPolicy, scale_down};
use flyball_test_support::cases;
use proptest::prelude::*;
use serde_json::Value;

use crate::expanders::ranker;
use crate::removals::run;
use crate::world::World;
use crate::{MINUTE, pod};

/// Texts of any length, some of which grow when names take the place of placeholders.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "(?s).{0,40}",
        "(?s).{1,8}".prop_map(|text| text.repeat(1000)),
        Just("{pod:0}{node:0}{group:0}".repeat(60)),
        Just("\u{1b}]0;title\u{7}\r\nforged line".to_owned()),
    ]
}

/// What has the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Choice,
    Expander,
    Pod,
    Node,
    Judge,
    /// This call fails.
    Call(&'static str),
    Instance,
}

fn fault() -> impl Strategy<Value = Fault> {
    use Fault::{Call, Choice, Expander, Instance, Judge, Node, Pod};
    let calls = [
        "groups",
        "increase a",
        "decrease a",
        "delete a",
        "update a-1",
        "evict cart-0",
    ];
    let others = [Choice, Expander, Pod, Node, Judge, Instance];
    let all = calls.map(Call).into_iter().chain(others);
    prop::sample::select(all.collect::<Vec<_>>())
}

fn reason(text: &str) -> Reason {
    Reason {
        code: "Any".to_owned(),
        sentence: text.to_owned(),
        ..Reason::default()
    }
}

fn chooses(text: &str, fault: Fault) -> TestPolicy {
    let text = text.to_owned();
    ranker("chooses", move |_, input| {
        if fault == Fault::Expander {
            return Err(PolicyFailure::Trapped(text.clone()));
        }
        Ok(ExpanderRanking {
            best: (0..u32::try_from(input.options.len()).unwrap()).collect(),
            reason: reason(&text),
            ..ExpanderRanking::default()
        })
    })
}

fn judges(text: &str, fault: Fault) -> TestPolicy {
    let (of_pods, of_nodes) = (text.to_owned(), text.to_owned());
    let pods = scale_down("judges").judging_pods(move |_, input| {
        let verdict = match fault {
            Fault::Judge => return Err(PolicyFailure::Trapped(of_pods.clone())),
            Fault::Pod => pod_verdict::BLOCK,
            _ => pod_verdict::EVICT,
        };
        Ok(PodVerdicts {
            verdict: vec![verdict; input.pods.len()],
            reason: vec![0; input.pods.len()],
            reasons: vec![reason(&of_pods)],
            ..PodVerdicts::default()
        })
    });
    pods.judging_nodes(move |_, input| {
        let verdict = match fault {
            Fault::Node => node_verdict::MUST_STAY,
            _ => node_verdict::MAY_GO,
        };
        let count = input.nodes.requested_cpu.len();
        Ok(NodeVerdicts {
            verdict: vec![verdict; count],
            reason: vec![0; count],
            reasons: vec![reason(&of_nodes)],
            ..NodeVerdicts::default()
        })
    })
}

/// Runs a cluster in which nodes come and go.
fn passed(text: &str, name: &str, groups: usize, fault: Fault) -> World {
    let mut world = World::new(vec![chooses(text, fault)], None, |options| {
        options.scale_down.mode = ScaleDownMode::On;
        options.scale_down.explain_on_nodes = true;
        options.balance_similar_node_groups = true;
    });
    world.judge(vec![judges(text, fault)]);
    world.group("a", 1000, (1, 3, 90));
    world.running("web", 2, "a-0", &pod(300));
    world.running("cart", 1, "a-1", &pod(300));
    for number in 0..groups {
        world.group(&format!("{number:02}{name}"), 1000, (0, 0, 5));
    }
    match fault {
        Fault::Call(call) => world.fail_saying(call, text),
        Fault::Instance => {
            world.change("a", |group| {
                let error = InstanceError {
                    code: "Any".to_owned(),
                    message: text.to_owned(),
                    out_of_resources: true,
                };
                group.instances[2].state = InstanceState::Failed(error);
            });
            world.delete_node("a-2");
        }
        _ => {}
    }
    let mut now = 0;
    run(&mut world, &mut now, 12 * MINUTE);
    world.stall("a");
    world.pods(name, 90, now, &pod(900));
    world.pods("none", 2, now, &pod(2000));
    run(&mut world, &mut now, 30 * MINUTE);
    world
}

/// Adds the messages of a document, each with its limit. Data of policies has limits of its
/// own, which the sandbox keeps.
fn messages<'a>(document: &'a Value, limit: usize, found: &mut Vec<(&'a str, usize)>) {
    match document {
        Value::Array(items) => items.iter().for_each(|item| messages(item, limit, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("expanders" | "questions" | "input", _) => {}
                    ("events", _) => messages(value, NOTE_BYTES, found),
                    ("message" | "reason", Value::String(text)) => found.push((text, limit)),
                    ("log", Value::Array(lines)) => {
                        let lines = lines.iter().filter_map(Value::as_str);
                        found.extend(lines.map(|line| (line, MESSAGE_BYTES)));
                    }
                    _ => messages(value, limit, found),
                }
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(60)))]

    #[test]
    fn no_message_is_long_or_has_control_characters(
        text in text(), name in text(), groups in prop::sample::select(vec![0_usize, 40]),
        fault in fault(),
    ) {
        let world = passed(&text, &name, groups, fault);
        let records = world.records();
        prop_assert!(!records.is_empty());
        for record in records {
            let document = serde_json::to_value(&*record).unwrap();
            let mut found = Vec::new();
            messages(&document, MESSAGE_BYTES, &mut found);
            for (message, most) in found {
                prop_assert!(message.len() <= most, "{} bytes: {message}", message.len());
                prop_assert!(!message.contains(char::is_control), "{message:?}");
            }
        }
        let status = world.status_text();
        for line in status.lines() {
            prop_assert!(line.len() <= MESSAGE_BYTES, "{line}");
            prop_assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}
