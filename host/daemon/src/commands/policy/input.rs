//! Reads inputs of decisions from files: `{"context": …, "input": …}` in the format of
//! records, with defaults for missing fields (a target on its metric, a plain option), or
//! a record itself.

use std::path::Path;

mod marks;
mod options;
mod pods;
mod scale_down;

use anyhow::{Context as _, bail, ensure};
use flyball_decision::context::Context;
use flyball_decision::expander::ExpanderInput;
use flyball_decision::part::PolicyRecord;
use flyball_decision::replica::ReplicaInput;
use flyball_decision::scale_down::{ScaleDownMovesInput, ScaleDownNodesInput, ScaleDownPodsInput};
use flyball_replicas::record::DecisionRecord;
use serde_json::{Map, Value, json};

use self::marks::RowMarks;

/// Default time of a decision: 2026-01-01 00:00 UTC.
const NOW_MS: i64 = 1_767_225_600_000;

/// Input of a decision.
#[derive(Debug, Clone)]
pub struct DecisionInput {
    /// Time, seed, configuration, state, granted inputs.
    pub context: Context,
    /// The kind's own input.
    pub input: Input,
    /// Labels and annotations of its rows, for policies that want them.
    pub marks: RowMarks,
}

/// Input by kind of policy.
#[derive(Debug, Clone)]
pub enum Input {
    /// How many replicas a workload should have.
    Replica(ReplicaInput),
    /// Which node group should grow: the input has `options`.
    Expander(ExpanderInput),
    /// What happens to pods: the input has `nodes` and `pods`.
    ScaleDownPods(ScaleDownPodsInput),
    /// Which nodes may leave: the input has `nodes` alone.
    ScaleDownNodes(ScaleDownNodesInput),
    /// Which moves are worth their price: the input has `nodes` and `moves`.
    ScaleDownMoves(ScaleDownMovesInput),
}

impl Input {
    /// Returns the number of pods, options, nodes or moves that are asked about.
    pub fn rows(&self) -> usize {
        match self {
            Self::Replica(input) => input.pods.len(),
            Self::Expander(input) => input.options.len(),
            Self::ScaleDownPods(input) => input.pods.len(),
            Self::ScaleDownNodes(input) => input.nodes.len(),
            Self::ScaleDownMoves(input) => input.moves.len(),
        }
    }
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
    flyball_files::read_to_string(path).with_context(|| match path.to_str() {
        Some(flyball_files::STDIN) => "cannot read standard input".to_owned(),
        _ => format!("cannot read {}", path.display()),
    })
}

/// Fills in missing fields. The record of a decision has all fields.
///
/// - The configuration may be an object instead of its text.
/// - `pods` may be a number: that many pods, Running and Ready for an hour. Missing
///   columns of pods and of samples are those of such pods, sampled now.
/// - `request` of a metric may be one number for all pods.
/// - Replica counts follow from the pods; other fields have Kubernetes' defaults.
/// - `options` may be a list of objects, one for each option, instead of columns. By
///   default an option is one node for one pod, of an existing group; its state follows
///   from the capacity, and allocatable is the capacity.
/// - An input with `nodes` is of a scale-down policy. Its tables may be lists of objects,
///   one for each row, in which zones, instance types, namespaces and groups have their
///   names.
/// - A row of a list of pods, nodes or options may have `labels` and `annotations`, and one
///   of pods `namespaceLabels`. A policy gets those that it wants, unless the context has
///   `inputs`.
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
    let marks = RowMarks::take(&mut input).context("input")?;
    let input = if input.contains_key("options") {
        options::complete(&mut input)?;
        Input::Expander(serde_json::from_value(Value::Object(input)).context("input")?)
    } else if scale_down::is_input(&input) {
        scale_down::read(input)?
    } else {
        pods::complete(&mut input, now)?;
        Input::Replica(serde_json::from_value(Value::Object(input)).context("input")?)
    };
    Ok(DecisionInput {
        context: serde_json::from_value(Value::Object(context)).context("context")?,
        input,
        marks,
    })
}

/// Returns the question to the first policy of a record, not the one to its fallback.
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
    input.complete().context("input")?;
    input.recommendations = asked.own.clone();
    Ok(DecisionInput {
        context: asked.context.clone(),
        input: Input::Replica(input),
        marks: RowMarks::default(),
    })
}

fn object(value: Option<Value>, name: &str) -> anyhow::Result<Map<String, Value>> {
    match value {
        None => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => bail!("{name} is not a JSON object"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use flyball_decision::policy::{Description, WantedInput};
    use serde_json::json;

    use super::{Input, complete};

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
        let Input::Replica(input) = full.input else {
            panic!("no input of a replica policy");
        };
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
        let Input::Replica(input) = asked.input else {
            panic!("no input of a replica policy");
        };
        let recommendations = json!({"atMs": [1_000], "replicas": [4]});
        let mut record = json!({
            "format": "flyball.dev/decision/v1alpha1", "host": "0", "sequence": 1,
            "at": 7_200_000, "object": {"namespace": "default", "name": "web"}, "uid": "u",
            "generation": 1, "mode": "Active", "combine": "Max",
            "names": {"metrics": [], "pods": []}, "input": input,
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
        let Input::Replica(read) = read.input else {
            panic!("no input of a replica policy");
        };
        assert_eq!(
            serde_json::to_value(&read.recommendations).unwrap(),
            recommendations
        );
        assert_eq!(read.pods, input.pods);

        record["policies"] = json!([]);
        let error = complete(record).unwrap_err().to_string();
        assert!(
            error.contains("asked no policy: Held: no answer"),
            "{error}"
        );
    }

    #[test]
    fn what_a_policy_wants_of_rows_is_granted_from_a_case() {
        let case = complete(json!({
            "input": {
                "nodes": [{"labels": {"pool": "a"}}, {"annotations": {"rack": "7"}}],
                "pods": [
                    {"node": 0, "labels": {"team": "red"}, "namespaceLabels": {"tier": "gold"}},
                    {"node": 1, "annotations": {"note": "x"}},
                ],
            }
        }));
        let case = case.unwrap();
        let wanted = |kind: &str, key: &str| WantedInput {
            kind: kind.to_owned(),
            arguments: vec![("key".to_owned(), key.to_owned())],
        };
        let description = Description {
            wants: vec![
                wanted("pod-label", "team"),
                wanted("pod-annotation", "note"),
                wanted("namespace-label", "tier"),
                wanted("node-label", "pool"),
                wanted("node-annotation", "rack"),
                wanted("pod-label", "other"),
            ],
            ..Description::default()
        };
        let context = case.marks.granted(&case.context, &description);
        let rows: Vec<&[i32]> = context.inputs.iter().map(|input| &*input.rows).collect();
        let (first, second, neither) = ([0, -1], [-1, 0], [-1, -1]);
        assert_eq!(rows, [first, second, first, first, second, neither]);
        // A case can grant them itself.
        let given = json!({
            "context": {"inputs": [{"texts": ["blue"], "rows": [0]}]},
            "input": {"nodes": [{"labels": {"pool": "a"}}]},
        });
        let given = complete(given).unwrap();
        let context = given.marks.granted(&given.context, &description);
        assert_eq!(context.inputs, given.context.inputs);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (wrong, name) in [
            (json!([]), "JSON object"),
            (json!({"input": {}, "expected": 1}), "expected"),
            (json!({"input": {"pods": "two"}}), "pods"),
            (json!({"input": {"minReplica": 1}}), "minReplica"),
            (json!({"input": {"nodes": [{"labels": 3}]}}), "nodes"),
        ] {
            let error = format!("{:#}", complete(wrong.clone()).unwrap_err());
            assert!(error.contains(name), "{wrong}: {error}");
        }
    }
}
