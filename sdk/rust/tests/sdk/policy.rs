//! A policy with everything a policy can have, driven through the contract's
//! types as a host drives it.

use std::time::Duration;

use flyball_policy::bindings::types::{Context, GrantedInput};
use flyball_policy::runtime::{decide as answer, describe};
use flyball_policy::{Decision, MetricSpec, Ranking, Replica, Request, Want};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    step: i64,
}

#[derive(Default, Deserialize, Serialize)]
struct State {
    asked: u32,
}

flyball_policy::replica_policy! {
    summary: "Climbs by a step",
    config: Config,
    state: State,
    state_version: 3,
    wants: [Want::history_of("cpu", "1h", "1m"), Want::labels()],
    decide: decide,
}

fn decide(input: &Replica<Config, State>) -> Decision {
    let team = input
        .granted(1)
        .and_then(|labels| labels.get("team"))
        .unwrap_or("nobody");
    let asked = input.state().asked + 1;
    Decision::to(i64::from(input.current()) + input.config().step)
        .because("Step", format!("asked {asked} times by {team}"))
        .argument("team", team)
        .with_state(&State { asked })
        .ask_again_after(Duration::from_secs(5))
}

fn context(configuration: &str, state: &str) -> Context {
    let labels = GrantedInput {
        error: String::new(),
        keys: vec!["team".into()],
        texts: vec!["blue".into()],
        times_ms: vec![],
        values: vec![],
        rows: vec![],
        numbers: vec![],
    };
    let history = GrantedInput {
        keys: vec![],
        texts: vec![],
        ..labels.clone()
    };
    Context {
        now_ms: 0,
        seed: 0,
        configuration: configuration.into(),
        state: state.into(),
        inputs: vec![history, labels],
    }
}

#[test]
fn a_policy_goes_through_the_contract() {
    let schema = flyball_configuration_schema();
    assert!(
        schema.contains("\"step\"") && schema.contains("\"additionalProperties\":false"),
        "{schema}"
    );
    let description = describe::<FlyballPolicy>(&schema);
    assert_eq!((description.state_version, description.kinds.len()), (3, 1));
    let kinds: Vec<&str> = description
        .wants
        .iter()
        .map(|want| want.kind.as_str())
        .collect();
    assert_eq!(kinds, ["metric-history", "target-labels"]);

    let input = Replica::<Config, State>::build()
        .replicas(4, 4)
        .done()
        .columns()
        .clone();
    let ask = |configuration, state| {
        answer::<FlyballPolicy>(context(configuration, state), input.clone())
    };
    let first = ask(r#"{"step":2}"#, "").unwrap();
    assert_eq!(
        (first.replicas, first.again_after_ms),
        (Some(6), Some(5000))
    );
    assert_eq!(first.reason.sentence, "asked 1 times by blue");
    let second = ask(r#"{"step":2}"#, first.state.as_deref().unwrap()).unwrap();
    assert_eq!(second.state.as_deref(), Some(r#"{"asked":2}"#));

    let refused = ask(r#"{"stop":2}"#, "").unwrap_err();
    assert_eq!(refused.code, "InvalidConfiguration");
    assert!(refused.message.contains("stop"), "{}", refused.message);
    assert_eq!(ask(r#"{"step":2}"#, "[]").unwrap_err().code, "InvalidState");
}

#[test]
fn no_answer_is_without_a_reason() {
    let reasons = [
        Decision::to(5).argument("load", 3).reason().clone(),
        Ranking::keep([0]).argument("load", 3).reason().clone(),
    ];
    for reason in reasons {
        assert_eq!(reason.code, "Unexplained");
        assert_eq!(reason.sentence, "the policy gives no reason");
        assert_eq!(reason.get("load"), Some("3"));
    }
    let explained = Decision::to(5).because("Load", "three times the target");
    assert_eq!(explained.reason().code, "Load");
}

#[test]
fn views_show_what_the_columns_say() {
    let build = Replica::<Config, State>::build()
        .replicas(3, 3)
        .ready_pods(3);
    let cpu = MetricSpec::resource("cpu")
        .target_utilization(50)
        .requests([Request::Milli(1000), Request::Milli(1000), Request::Missing])
        .samples(build.now(), [500, 750, 1000]);
    let input = build.metric(cpu).done();
    assert_eq!(
        (
            input.ready(),
            input.pods().filter(|pod| pod.is_ready()).count()
        ),
        (3, 3)
    );
    let metric = input.metric("cpu").unwrap();
    assert_eq!(metric.utilization(), Some(0.625));
    assert_eq!(metric.mean(), Some(0.75));
    assert_eq!(metric.request(2), Some(Request::Missing));
}
