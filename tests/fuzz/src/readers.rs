//! What is read, by the functions that the daemon and the commands read it with.
//!
//! A reader returns the messages that come of an input, as the product makes them: those that
//! it bounds where they are made, and of other errors what the product's own function makes of
//! them. Nothing is shortened here, so that a message that the product does not shorten fails.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use flyball_decision::quantity::{Milli, Nano, approximate_f64};
use flyball_decision::text::{NOTE_BYTES, with_causes};
use flyball_kubernetes::request::{RequestError, deserialize};
use flyball_kubernetes::slim::PodObject;
use flyball_kubernetes::{
    Autoscalers, Dump, MatchedGroups, Pods, ReplicaAutoscaler, Selectors, ambiguous_selector,
};
use flyball_replicas::ports::ObservationError;
use flyball_replicas::selector::Selector;
use flyball_replicas::spec::AutoscalerSpec;
use flyball_report::record::Record;
use flyball_sandbox::{LoadError, Schema, check_component};
use flyball_simulation::Scenario;
use flyball_sources::{PodMetricsList, external_values, object_value, pod_samples};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// Messages, or nothing to say.
pub type Told = Result<(), Vec<String>>;

/// A reader.
pub type Read = fn(&[u8]) -> Told;

/// An error that commands print, with its causes.
fn printed(error: impl Error) -> Vec<String> {
    vec![with_causes(&error)]
}

/// An error that is bounded where it is made.
fn bounded(error: impl Error) -> Vec<String> {
    vec![error.to_string()]
}

/// Why a policy's file is refused.
fn refused(error: LoadError) -> Vec<String> {
    let reason = error.to_string();
    let bytes = reason.len();
    assert!(bytes <= NOTE_BYTES, "{bytes} bytes: {reason}");
    vec![reason]
}

/// An answer that can't be read.
fn unanswered(error: RequestError) -> Vec<String> {
    vec![error.message().to_owned()]
}

fn told(messages: Vec<String>) -> Told {
    if messages.is_empty() {
        Ok(())
    } else {
        Err(messages)
    }
}

fn text(input: &[u8]) -> Result<&str, Vec<String>> {
    std::str::from_utf8(input).map_err(printed)
}

/// A component, up to its compilation. The compiling child bounds the error.
pub fn components(input: &[u8]) -> Told {
    check_component(input).map(drop).map_err(refused)
}

/// A policy's schema, and after a line of `---` a configuration. The registry bounds errors of
/// loading, and the check before a decision those of a configuration.
pub fn schemas(input: &[u8]) -> Told {
    let text = text(input)?;
    let (schema, configuration) = text.split_once("\n---\n").unwrap_or((text, ""));
    let schema = Schema::parse(schema).map_err(|error| refused(error.bounded()))?;
    let checked = schema.check_text(configuration);
    checked.map_err(|error| vec![error.failure().to_string()])
}

/// Lines of a file of records. What is read can be written and read again.
pub fn records(input: &[u8]) -> Told {
    for line in input.split(|byte| *byte == b'\n') {
        let record = Record::from_line(line).map_err(printed)?;
        let written = serde_json::to_vec(&record).map_err(printed)?;
        let again = Record::from_line(&written).map_err(|error| format!("written: {error}"));
        let again = again.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(serde_json::to_vec(&again).map_err(printed)?, written);
    }
    Ok(())
}

/// A scenario.
pub fn scenarios(input: &[u8]) -> Told {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let scenario = Scenario::parse(text(input)?, Path::new("scenario.yaml"), &examples);
    scenario.map(drop).map_err(printed)
}

/// A dump of a cluster. Its pods are checked against its nodes.
pub fn dumps(input: &[u8]) -> Told {
    let dump = Dump::read(input).map_err(printed)?;
    let cluster = dump.state.cluster();
    for node in cluster.node_ids() {
        let classes: Vec<_> = cluster.placed(node).map(|(class, _)| class).collect();
        for class in classes {
            let _ = cluster.check(class, node);
        }
    }
    told(dump.problems)
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

/// Namespace of the autoscalers that are added to those of an input.
const NEIGHBOURS: &str = "neighbours";

/// Answer to a list of autoscalers. Whatever is in them, others beside them are read as they
/// are alone.
pub fn autoscalers(input: &[u8]) -> Told {
    let list: List<Box<RawValue>> = deserialize(input).map_err(unanswered)?;
    let neighbours = ["first", "last"].map(|name| {
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name });
        let metadata = json!({ "namespace": NEIGHBOURS, "name": name, "uid": name });
        let spec = json!({ "scaleTargetRef": target, "maxReplicas": 9 });
        json!({ "metadata": metadata, "spec": spec }).to_string()
    });
    let [first, last] = &neighbours;
    let (mut items, mut messages) = (vec![first.as_str()], Vec::new());
    for item in &list.items {
        match deserialize::<ReplicaAutoscaler>(item.get().as_bytes()) {
            Ok(object) if object.metadata.namespace.as_deref() == Some(NEIGHBOURS) => {}
            Ok(_) => items.push(item.get()),
            // No API server has an object with such metadata.
            Err(error) => messages.extend(unanswered(error)),
        }
    }
    items.push(last);
    let known = known(&format!(r#"{{"items":[{}]}}"#, items.join(",")));
    let all = known.all();
    let beside = all.iter().filter(|one| *one.key.namespace == *NEIGHBOURS);
    let beside: Vec<Result<_, String>> = beside.map(|one| Ok((*one.spec).clone())).collect();
    let alone = neighbours.each_ref().map(|text| {
        let object: ReplicaAutoscaler = serde_json::from_str(text).unwrap();
        object.spec
    });
    assert_eq!(beside, alone);
    for one in all {
        match known.problem(&one.key) {
            Some(problem) => messages.push(problem.to_string()),
            None => messages.extend(checked(&one.spec).err().into_iter().flatten()),
        }
    }
    told(messages)
}

fn known(list: &str) -> Autoscalers {
    let list: List<ReplicaAutoscaler> = serde_json::from_str(list).unwrap();
    let mut known = Autoscalers::default();
    for item in list.items {
        known.apply(item);
    }
    known
}

/// Checks a spec as that of a scenario.
fn checked(spec: &AutoscalerSpec) -> Told {
    for policy in spec.effective_policies() {
        let _ = policy.configuration();
    }
    for metric in spec.effective_metrics() {
        let _ = metric.identifier();
    }
    spec.check().map_err(printed)
}

/// A crowd of autoscalers, each with the selector of its target, and pods.
#[derive(Deserialize)]
struct Crowd {
    autoscalers: Vec<ReplicaAutoscaler>,
    selectors: Vec<Arc<str>>,
    pods: Vec<Box<RawValue>>,
}

/// Comparisons of labels with selectors: as many as the reader makes for a namespace in a tick.
const COMPARISONS: usize = 4_000_000;

/// Autoscalers and pods, which the replica half keeps and selects. Those that select the same
/// pods have a message each.
pub fn crowd(input: &[u8]) -> Told {
    let crowd: Crowd = deserialize(input).map_err(unanswered)?;
    let (mut known, mut pods) = (Autoscalers::default(), Pods::default());
    for autoscaler in crowd.autoscalers {
        known.apply(autoscaler);
    }
    for pod in crowd.pods {
        let pod: PodObject = deserialize(pod.get().as_bytes()).map_err(unanswered)?;
        pods.apply(&pod);
    }
    let (mut selectors, mut messages) = (Selectors::default(), Vec::new());
    let mut selected = Vec::new();
    for (one, text) in known.all().into_iter().zip(&crowd.selectors) {
        messages.extend(known.problem(&one.key).map(|problem| problem.to_string()));
        match selectors.set(&one.key, text, one.spec.mode, false) {
            Ok(selector) => selected.push((one, text, selector)),
            Err(error) => messages.extend(bounded(error)),
        }
    }
    let mut matched = MatchedGroups::default();
    let mut comparisons = COMPARISONS;
    for (one, text, selector) in selected {
        let namespace = &one.key.namespace;
        let label_sets = pods.label_sets(namespace, &selector);
        // An error means that there were too many, which ends the search.
        let others = selectors.others(&one.key, &label_sets, &mut matched, &mut comparisons);
        let others = others.unwrap_or_default();
        let ambiguous = ambiguous_selector(&one.key, text, &others);
        messages.extend(ambiguous.map(|error| error.message));
        let _ = pods.select(namespace, text, &label_sets);
    }
    told(messages)
}

/// A selector in text form, as in the status of a scale.
pub fn selectors(input: &[u8]) -> Told {
    Selector::parse(text(input)?).map(drop).map_err(bounded)
}

/// A quantity. Its notations agree as far as they can.
pub fn quantities(input: &[u8]) -> Told {
    let text = text(input)?;
    let (milli, nano) = (Milli::parse(text), Nano::parse(text));
    assert_eq!(milli.is_ok(), nano.is_ok());
    assert_eq!(approximate_f64(text).is_ok(), nano.is_ok());
    milli.map_err(bounded)?;
    let nano = nano.map_err(bounded)?;
    let _ = (nano.milli(), nano.units(), nano.to_whole_milli());
    Ok(())
}

/// Answers of the metrics APIs.
pub fn metrics(input: &[u8]) -> Told {
    let unavailable = |error: ObservationError| vec![error.message];
    if let Ok(list) = deserialize::<PodMetricsList>(input) {
        return list.samples("cpu", None).map(drop).map_err(unavailable);
    }
    let list = deserialize(input).map_err(unanswered)?;
    object_value(&list).map_err(unavailable)?;
    external_values(&list).map_err(unavailable)?;
    pod_samples(list).map(drop).map_err(unavailable)
}
