//! Responses of the three metrics APIs give the same numbers as Kubernetes' own client.
use flyball_decision::text::MESSAGE_BYTES;
use flyball_replicas::ports::{MetricAnswer, ObservationError};
use flyball_sources::{PodMetricsList, external_values, object_value, pod_samples};
use flyball_test_support::vectors;
use serde_json::{Value, json};

#[test]
fn answers_of_the_metrics_apis_give_upstreams_numbers() {
    let (mut checked, mut saturated) = (0, 0);
    for case in vectors::read::<Value>("hpa/metricsapi").unwrap() {
        let overflows = case["tags"]
            .as_array()
            .unwrap()
            .contains(&json!("milliOverflow"));
        let answer = answer(&case);
        if overflows {
            // Upstream overflows here; we saturate.
            saturated += 1;
            assert!(answer.is_ok(), "{}", case["id"]);
            continue;
        }
        checked += 1;
        assert_eq!(found(&answer), expected(&case["out"]), "{}", case["id"]);
    }
    assert_eq!((checked, saturated), (131, 9));
}

#[test]
fn a_pod_whose_metrics_cannot_be_read_is_missing_and_no_other() {
    let answer = cpu_of(&[("web-1", "NaN"), ("web-2", "250m"), ("web-3", "1e30")]);
    let at = 1_764_000_000_000_i64;
    let readable = json!([
        ["web-2", 250, at, 15_000],
        // Out of range: saturated.
        ["web-3", i64::MAX, at, 15_000],
    ]);
    assert_eq!(found(&answer), readable);

    let error = cpu_of(&[("web-1", "1x"), ("web-2", "")]).unwrap_err();
    assert_eq!(error.class, "metricsUnavailable");
    assert!(
        error
            .message
            .starts_with("the metrics of pod \"web-1\" can't be read: \"1x\" is not a quantity"),
        "{}",
        error.message
    );
}

#[test]
fn a_custom_value_that_cannot_be_read_is_missing_and_a_series_fails_its_sum() {
    let list = |values: &[Value]| {
        let item = |(number, value): (usize, &Value)| {
            json!({
                "describedObject": { "kind": "Pod", "name": format!("web-{number}") },
                "metricName": "requests",
                "timestamp": "2025-11-24T16:00:00Z",
                "value": value,
            })
        };
        let items: Vec<Value> = values.iter().enumerate().map(item).collect();
        serde_json::from_value(json!({ "kind": "MetricValueList", "items": items })).unwrap()
    };
    let at = 1_764_000_000_000_i64;
    let answer = pod_samples(list(&[json!("NaN"), json!("7"), json!({}), json!("500m")]));
    let readable = json!([["web-1", 7000, at, 60_000], ["web-3", 500, at, 60_000]]);
    assert_eq!(found(&answer), readable);

    let message = |answer: Result<MetricAnswer, ObservationError>| {
        let error = answer.unwrap_err();
        assert_eq!(error.class, "metricsUnavailable");
        error.message
    };
    let none = message(pod_samples(list(&[json!("1x"), json!("")])));
    assert!(
        none.starts_with("the metrics of pod \"web-0\" can't be read: \"1x\" is not a quantity"),
        "{none}"
    );
    let objects = message(object_value(&list(&[json!("1"), json!("2")])));
    assert_eq!(
        objects,
        "the custom metrics API server returned 2 results when we asked for exactly one"
    );
    let long = message(object_value(&list(&[json!("x".repeat(100_000))])));
    assert!(long.len() <= MESSAGE_BYTES, "{}", long.len());
    let object = message(object_value(&list(&[json!("1x")])));
    assert!(
        object.starts_with("the metrics of object \"web-0\" can't be read: \"1x\""),
        "{object}"
    );
    let external = message(external_values(&list(&[json!("1"), json!("1x")])));
    assert!(
        external.starts_with("series 1 can't be read: \"1x\""),
        "{external}"
    );
}

/// `custom.metrics.k8s.io/v1beta1` has another name for it.
#[test]
fn a_custom_metric_has_the_window_of_its_version_of_the_api() {
    for (field, window_ms) in [
        ("window", 300_000),
        ("windowSeconds", 300_000),
        ("none", 60_000),
    ] {
        let mut item = json!({
            "describedObject": { "kind": "Pod", "name": "web-1" },
            "timestamp": "2025-11-24T16:00:00Z",
            "value": "7",
        });
        item[field] = json!(300);
        let list = serde_json::from_value(json!({ "items": [item] })).unwrap();
        let expected = json!([["web-1", 7000, 1_764_000_000_000_i64, window_ms]]);
        assert_eq!(found(&pod_samples(list)), expected, "{field}");
    }
}

/// Returns the cpu samples of a response of metrics-server, for pods with this usage.
fn cpu_of(pods: &[(&str, &str)]) -> Result<MetricAnswer, ObservationError> {
    let item = |(name, cpu): &(&str, &str)| {
        json!({
            "metadata": {
                "name": name,
                "namespace": "default",
                "creationTimestamp": "2025-11-24T16:00:05Z",
                "labels": { "app": "web" },
            },
            "timestamp": "2025-11-24T16:00:00Z",
            "window": "15s",
            "containers": [{ "name": "web", "usage": { "cpu": cpu, "memory": "2048Ki" } }],
        })
    };
    let list = json!({
        "kind": "PodMetricsList",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": pods.iter().map(item).collect::<Vec<_>>(),
    });
    let list: PodMetricsList = serde_json::from_value(list).unwrap();
    list.samples("cpu", None)
}

fn answer(case: &Value) -> Result<MetricAnswer, ObservationError> {
    let response = case["in"]["response"].clone();
    let list = || serde_json::from_value(response.clone()).unwrap();
    match case["kind"].as_str().unwrap() {
        "resource" | "containerResource" => {
            let list: PodMetricsList = serde_json::from_value(response).unwrap();
            list.samples(
                case["in"]["resource"].as_str().unwrap(),
                case["in"]["container"].as_str(),
            )
        }
        "pods" => pod_samples(list()),
        "object" => object_value(&list()),
        "external" => external_values(&list()),
        other => panic!("{other} is no kind of case"),
    }
}

fn found(answer: &Result<MetricAnswer, ObservationError>) -> Value {
    match answer {
        Ok(MetricAnswer::Pods(samples)) => samples
            .iter()
            .map(|s| json!([*s.pod, s.value, s.timestamp.0, s.window_ms]))
            .collect(),
        Ok(MetricAnswer::Values(values)) => json!(&values[..]),
        Err(error) => json!(error.message),
    }
}

fn expected(out: &Value) -> Value {
    if out["error"].is_string() {
        return out["error"].clone();
    }
    if let Some(value) = out["valueMilli"].as_i64() {
        return json!([value]);
    }
    if out["valuesMilli"].is_array() {
        return out["valuesMilli"].clone();
    }
    let empty = Vec::new();
    let metrics = out["metrics"].as_array().unwrap_or(&empty);
    let row = |metric: &Value| {
        let at: jiff::Timestamp = metric["timestamp"].as_str().unwrap().parse().unwrap();
        let window_ms = (metric["windowSeconds"].as_f64().unwrap() * 1000.0) as i64;
        json!([
            metric["pod"],
            metric["valueMilli"],
            at.as_millisecond(),
            window_ms
        ])
    };
    metrics.iter().map(row).collect()
}
