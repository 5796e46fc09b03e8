//! Defaults of the input of a replica policy.

use anyhow::{Context as _, bail};
use flyball_decision::replica::pod_state;
use flyball_decision::time::Timestamp;
use serde_json::{Map, Value, json};

const HOUR_MS: i64 = 3_600_000;
const WINDOW_MS: i64 = 60_000;

/// Fills in pods, samples and Kubernetes' defaults.
pub(super) fn complete(input: &mut Map<String, Value>, now: i64) -> anyhow::Result<()> {
    let (pods, ready) = complete_pods(input.remove("pods"), now)?;
    let count = pods["state"].as_array().map_or(0, Vec::len);
    input.insert("pods".into(), pods);
    for metric in input
        .entry("metrics")
        .or_insert(json!([]))
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        complete_metric(
            metric
                .as_object_mut()
                .context("a metric is not a JSON object")?,
            count,
            now,
        );
    }
    let current = input
        .entry("currentReplicas")
        .or_insert(json!(count))
        .clone();
    let defaults = [
        (
            "target",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "app"}),
        ),
        ("minReplicas", json!(1)),
        ("maxReplicas", json!(10)),
        ("statusReplicas", current),
        ("readyReplicas", json!(ready)),
        ("toleranceUp", json!(0.1)),
        ("toleranceDown", json!(0.1)),
        ("cpuInitializationPeriodMs", json!(300_000)),
        ("initialReadinessDelayMs", json!(30_000)),
    ];
    for (field, value) in defaults {
        input.entry(field).or_insert(value);
    }
    Ok(())
}

/// Returns the columns of the pods, and the number of Ready ones.
fn complete_pods(pods: Option<Value>, now: i64) -> anyhow::Result<(Value, usize)> {
    let usual = pod_state::RUNNING | pod_state::READY;
    let mut pods = match pods {
        None => Map::new(),
        Some(Value::Object(pods)) => pods,
        Some(Value::Number(count)) => {
            let count = count.as_u64().filter(|&count| count <= 1_000_000);
            let count = usize::try_from(count.context("pods is no count of pods")?)?;
            Map::from_iter([("state".to_owned(), json!(vec![usual; count]))])
        }
        Some(_) => bail!("pods is neither a count nor columns"),
    };
    let states = pods
        .entry("state")
        .or_insert(json!([]))
        .as_array()
        .cloned()
        .unwrap_or_default();
    for (column, value) in [
        ("readyTransitionMs", now - HOUR_MS),
        ("startMs", now - HOUR_MS),
        ("deletionMs", Timestamp::UNKNOWN),
    ] {
        pods.entry(column)
            .or_insert(json!(vec![value; states.len()]));
    }
    let is_ready = |state: &&Value| {
        state
            .as_u64()
            .is_some_and(|bits| bits & u64::from(usual) == u64::from(usual))
    };
    let ready = states.iter().filter(is_ready).count();
    Ok((Value::Object(pods), ready))
}

fn complete_metric(metric: &mut Map<String, Value>, pods: usize, now: i64) {
    let source = metric.entry("source").or_insert(json!("Resource")).clone();
    if source == "Object" || source == "External" {
        return;
    }
    let samples = metric
        .get("value")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    metric
        .entry("pod")
        .or_insert(json!((0..samples).collect::<Vec<_>>()));
    metric
        .entry("timestampMs")
        .or_insert(json!(vec![now; samples]));
    metric
        .entry("windowMs")
        .or_insert(json!(vec![WINDOW_MS; samples]));
    if let Some(Value::Number(request)) = metric.get("request").cloned() {
        metric.insert("request".into(), json!(vec![request; pods]));
    }
}
