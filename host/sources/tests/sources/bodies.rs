//! Answers that are too large.

use flyball_kubernetes::Kinds;
use flyball_replicas::ports::{MetricQuestion, MetricsSource as _};
use flyball_replicas::selector::Selector;
use flyball_replicas::spec::MetricSpec;
use flyball_sources::{MetricsApis, TIMEOUT};
use serde_json::json;

use crate::api_server;

#[test]
fn an_answer_that_is_too_large_is_an_error_of_its_metric_alone() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (client, _) = api_server::client();
    let source = MetricsApis::new(client.clone(), Kinds::new(client), TIMEOUT);
    let metric = |name: &str| -> MetricSpec {
        let target = json!({ "type": "AverageValue", "averageValue": "1" });
        let external = json!({ "metric": { "name": name }, "target": target });
        serde_json::from_value(json!({ "type": "External", "external": external })).unwrap()
    };
    let metrics = [metric(api_server::HUGE), metric(api_server::SMALL)];
    let (pods, no_selector) = (Selector::default(), Ok(None));
    let questions = metrics.each_ref().map(|metric| MetricQuestion {
        namespace: "shop",
        selector: "app=web",
        pods: &pods,
        metric,
        metric_selector: &no_selector,
    });
    let answers = runtime.block_on(source.measure(&questions));
    let error = answers[0].as_ref().unwrap_err();
    assert!(
        error.message.ends_with("the answer has more than 16 MiB"),
        "{error}"
    );
    assert!(answers[1].is_ok(), "{answers:?}");
}
