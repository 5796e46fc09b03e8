//! Inputs of decisions from files: `{"context": …, "input": …}` in the form that
//! records have, or shorter: what is left out is what a quiet target has. Or a
//! record itself.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use flyball_core::record::{DecisionRecord, PolicyRecord};
use flyball_core::replica::{Context, ReplicaInput, pod_state};
use flyball_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// When a decision is made, where the file says nothing: 2026-01-01 00:00 UTC.
const NOW_MS: i64 = 1_767_225_600_000;
const HOUR_MS: i64 = 3_600_000;
const WINDOW_MS: i64 = 60_000;

/// What a decision is made from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionInput {
    /// Time, seed, configuration, state, granted inputs.
    pub context: Context,
    /// All the rest.
    pub input: ReplicaInput,
}

/// Reads inputs from a file of one JSON object, or of several, such as JSON
/// lines; `-` is standard input.
pub fn read_all(path: &Path) -> anyhow::Result<Vec<DecisionInput>> {
    let text = read_text(path)?;
    let mut inputs = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let number = inputs.len() + 1;
        let input = value
            .map_err(anyhow::Error::from)
            .and_then(complete)
            .with_context(|| format!("{}: input {number} is not usable", path.display()))?;
        inputs.push(input);
    }
    ensure!(!inputs.is_empty(), "{} holds no input", path.display());
    Ok(inputs)
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Fills in what is left out. The record of a decision lacks nothing.
///
/// - The configuration may be an object in place of its text.
/// - `pods` may be a number: so many pods, Running and Ready for an hour. Missing
///   columns of pods and of samples are those of such pods, sampled now.
/// - `request` of a metric may be one number for all pods.
/// - Replica counts follow from the pods; the rest are Kubernetes' defaults.
pub fn complete(value: Value) -> anyhow::Result<DecisionInput> {
    let Value::Object(mut document) = value else {
        bail!("not a JSON object with \"input\" and \"context\"");
    };
    if document.contains_key("policies") {
        return of_record(document);
    }
    let mut context = object(document.remove("context"), "context")?;
    let mut input = object(document.remove("input"), "input")?;
    if let Some(unknown) = document.keys().next() {
        bail!("unknown field {unknown:?}: there are \"context\" and \"input\"");
    }
    context.entry("now").or_insert(json!(NOW_MS));
    let now = context["now"]
        .as_i64()
        .context("context.now is no time in milliseconds")?;
    if let Some(Value::Object(configuration)) = context.get("configuration") {
        context.insert(
            "configuration".into(),
            Value::String(json!(configuration).to_string()),
        );
    }
    complete_input(&mut input, now)?;
    Ok(DecisionInput {
        context: serde_json::from_value(Value::Object(context)).context("context")?,
        input: serde_json::from_value(Value::Object(input)).context("input")?,
    })
}

/// What the first policy of a record was asked: the one asked for, not its fallback.
fn of_record(document: Map<String, Value>) -> anyhow::Result<DecisionInput> {
    let record: DecisionRecord = serde_json::from_value(Value::Object(document))
        .context("neither an input nor the record of a decision")?;
    let asked = record.policies.first().map(PolicyRecord::asked);
    let (Some(mut input), Some(asked)) = (record.input, asked) else {
        bail!(
            "this record asked no policy: {}: {}",
            record.verdict.reason,
            record.verdict.message
        );
    };
    input.recommendations = asked.recommendations.clone();
    Ok(DecisionInput {
        context: asked.context.clone(),
        input,
    })
}

fn object(value: Option<Value>, name: &str) -> anyhow::Result<Map<String, Value>> {
    match value {
        None => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => bail!("{name} is not a JSON object"),
    }
}

fn complete_input(input: &mut Map<String, Value>, now: i64) -> anyhow::Result<()> {
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

/// The columns of the pods, and how many of them are ready.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::complete;
    use serde_json::json;

    #[test]
    fn a_short_input_is_completed() {
        let short = json!({
            "context": {"configuration": {"target": 0.5}},
            "input": {"pods": 2, "maxReplicas": 7, "metrics": [
                {"name": "cpu", "targetType": "Utilization", "targetAverageUtilization": 50,
                 "value": [400, 300], "request": 500}
            ]}
        });
        let full = complete(short).unwrap();
        assert_eq!(&*full.context.configuration, r#"{"target":0.5}"#);
        let input = full.input;
        assert_eq!(
            (
                input.current_replicas,
                input.ready_replicas,
                input.max_replicas
            ),
            (2, 2, 7)
        );
        assert_eq!(input.pods.ready_count(), 2);
        let metric = &input.metrics[0];
        assert_eq!(
            (metric.pod.as_slice(), metric.request.as_slice()),
            ([0, 1].as_slice(), [500, 500].as_slice())
        );
        assert_eq!(metric.timestamp_ms, [full.context.now.0; 2]);
    }

    #[test]
    fn a_record_is_what_its_first_policy_was_asked() {
        let short = json!({
            "context": {"now": 7_200_000, "seed": 7, "state": "before"},
            "input": {"pods": 3}
        });
        let asked = complete(short).unwrap();
        let recommendations = json!({"atMs": [1_000], "replicas": [4]});
        let mut record = json!({
            "format": "flyball.dev/decision/v1alpha1", "host": "0", "sequence": 1,
            "at": 7_200_000, "object": {"namespace": "default", "name": "web"}, "uid": "u",
            "generation": 1, "mode": "Active", "combine": "Max",
            "names": {"metrics": [], "pods": []}, "input": asked.input,
            "policies": [{
                "name": "hpa", "version": null, "failed": null, "context": asked.context,
                "recommendations": recommendations, "budget": null,
                "usage": {"fuel": 0, "fuelBudget": 0, "memoryBytes": 0},
                "answer": {"failure": {"kind": "missing", "message": "gone"}}
            }],
            "guard": null, "guardSteps": [],
            "verdict": {"from": 3, "to": null, "proposed": null, "reason": "Held", "message": "no answer"},
            "outcome": "unchanged", "conditions": [], "events": []
        });
        let read = complete(record.clone()).unwrap();
        assert_eq!(read.context, asked.context);
        assert_eq!(
            serde_json::to_value(&read.input.recommendations).unwrap(),
            recommendations
        );
        assert_eq!(read.input.pods, asked.input.pods);

        record["policies"] = json!([]);
        let error = complete(record).unwrap_err().to_string();
        assert!(
            error.contains("asked no policy: Held: no answer"),
            "{error}"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (wrong, name) in [
            (json!([]), "JSON object"),
            (json!({"input": {}, "expected": 1}), "expected"),
            (json!({"input": {"pods": "two"}}), "pods"),
            (json!({"input": {"minReplica": 1}}), "minReplica"),
        ] {
            let error = format!("{:#}", complete(wrong.clone()).unwrap_err());
            assert!(error.contains(name), "{wrong}: {error}");
        }
    }
}
