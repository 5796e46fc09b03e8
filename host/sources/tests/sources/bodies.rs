//! Answers that are too large.

use std::time::Duration;

use flyball_kubernetes::Kinds;
use flyball_replicas::ports::{MetricAnswer, MetricQuestion, MetricsSource as _, ObservationError};
use flyball_replicas::selector::Selector;
use flyball_replicas::spec::MetricSpec;
use flyball_sources::MetricsApis;
use serde_json::json;

use crate::api_server;

/// Longer than reading any of these answers takes.
const PATIENT: Duration = Duration::from_secs(60);

#[test]
fn an_answer_that_is_too_large_is_an_error_of_its_metric_alone() {
    let asked = [("shop", api_server::HUGE), ("shop", api_server::SMALL)];
    let answers = measure(&asked);
    let error = answers[0].as_ref().unwrap_err();
    assert!(
        error.message.ends_with("the answer has more than 16 MiB"),
        "{error}"
    );
    assert!(answers[1].is_ok(), "{answers:?}");
}

/// Two answers have more values than a namespace may have in one call. Four are asked for at a
/// time.
#[test]
fn a_namespace_with_many_values_gets_no_more_of_them_and_others_get_theirs() {
    let large: Vec<String> = (0..12)
        .map(|number| format!("{}-{number:02}", api_server::LARGE))
        .collect();
    let mut asked: Vec<(&str, &str)> = large.iter().map(|name| ("shop", &**name)).collect();
    asked.push(("other", api_server::SMALL));
    let answers = measure(&asked);
    let is_refused = |answer: &&Result<_, ObservationError>| {
        let error = answer.as_ref().err();
        error.is_some_and(|error| error.message.contains("are too large together"))
    };
    let refused = answers.iter().filter(is_refused).count();
    let answered = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(refused + answered, 13);
    assert!((2..=5).contains(&(answered - 1)), "{answered} answers");
    assert!(answers[12].is_ok());
}

/// Measures external metrics, each of a namespace.
fn measure(asked: &[(&str, &str)]) -> Vec<Result<MetricAnswer, ObservationError>> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (client, _) = api_server::client();
    let source = MetricsApis::new(client.clone(), Kinds::new(client), PATIENT);
    let metric = |name: &str| -> MetricSpec {
        let target = json!({ "type": "AverageValue", "averageValue": "1" });
        let external = json!({ "metric": { "name": name }, "target": target });
        serde_json::from_value(json!({ "type": "External", "external": external })).unwrap()
    };
    let metrics: Vec<_> = asked.iter().map(|(_, name)| metric(name)).collect();
    let (pods, no_selector) = (Selector::default(), Ok(None));
    let questions = asked.iter().zip(&metrics);
    let questions = questions.map(|((namespace, _), metric)| MetricQuestion {
        namespace,
        selector: "app=web",
        pods: &pods,
        metric,
        metric_selector: &no_selector,
    });
    let questions: Vec<_> = questions.collect();
    runtime.block_on(source.measure(&questions))
}
