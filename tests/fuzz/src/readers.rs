//! What is read, by the functions that the daemon and the commands read it with. Errors are
//! those that users see: what the one place that shortens makes of them, unless they are
//! bounded where they are made.

use std::fmt::Display;
use std::path::Path;

use flyball_decision::quantity::{Milli, Nano, approximate_f64};
use flyball_decision::text::{NOTE_BYTES, message};
use flyball_kubernetes::{Dump, ReplicaAutoscaler};
use flyball_replicas::selector::Selector;
use flyball_report::record::Record;
use flyball_sandbox::{Schema, check_component};
use flyball_simulation::Scenario;
use flyball_sources::{PodMetricsList, external_values, object_value, pod_samples};
use serde::Deserialize;

fn shown(error: impl Display) -> String {
    message(error.to_string())
}

fn text(input: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(input).map_err(shown)
}

/// A component, up to its compilation.
pub fn components(input: &[u8]) -> Result<(), String> {
    let checked = check_component(input);
    checked.map(drop).map_err(|error| {
        let error = error.to_string();
        assert!(error.len() <= NOTE_BYTES, "{} bytes: {error}", error.len());
        error
    })
}

/// A policy's schema, and after a line of `---` a configuration.
pub fn schemas(input: &[u8]) -> Result<(), String> {
    let text = text(input)?;
    let (schema, configuration) = text.split_once("\n---\n").unwrap_or((text, ""));
    let schema = Schema::parse(schema).map_err(shown)?;
    schema.check_text(configuration).map_err(shown)
}

/// Lines of a file of records. What is read can be written and read again.
pub fn records(input: &[u8]) -> Result<(), String> {
    for line in input.split(|byte| *byte == b'\n') {
        let record = Record::from_line(line).map_err(shown)?;
        let written = serde_json::to_vec(&record).map_err(shown)?;
        let again = Record::from_line(&written).map_err(|error| format!("written: {error}"));
        let again = again.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(serde_json::to_vec(&again).map_err(shown)?, written);
    }
    Ok(())
}

/// A scenario.
pub fn scenarios(input: &[u8]) -> Result<(), String> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let scenario = Scenario::parse(text(input)?, Path::new("scenario.yaml"), &examples);
    scenario.map(drop).map_err(shown)
}

/// A dump of a cluster. Its pods are checked against its nodes.
pub fn dumps(input: &[u8]) -> Result<(), String> {
    let dump = Dump::read(input).map_err(shown)?;
    let cluster = dump.state.cluster();
    for node in cluster.node_ids() {
        let classes: Vec<_> = cluster.placed(node).map(|(class, _)| class).collect();
        for class in classes {
            let _ = cluster.check(class, node);
        }
    }
    match dump.problems.first() {
        Some(problem) => Err(shown(problem)),
        None => Ok(()),
    }
}

/// Answer to a list of autoscalers.
pub fn autoscalers(input: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct List {
        items: Vec<ReplicaAutoscaler>,
    }
    let list: List = serde_json::from_slice(input).map_err(shown)?;
    for item in list.items {
        let spec = item.spec.map_err(shown)?;
        spec.check().map_err(shown)?;
        for policy in spec.effective_policies() {
            let _ = policy.configuration();
        }
        for metric in spec.effective_metrics() {
            let _ = metric.identifier();
        }
    }
    Ok(())
}

/// A selector in text form, as in the status of a scale.
pub fn selectors(input: &[u8]) -> Result<(), String> {
    Selector::parse(text(input)?).map(drop).map_err(shown)
}

/// A quantity. Its notations agree as far as they can.
pub fn quantities(input: &[u8]) -> Result<(), String> {
    let text = text(input)?;
    let (milli, nano) = (Milli::parse(text), Nano::parse(text));
    assert_eq!(milli.is_ok(), nano.is_ok());
    assert_eq!(approximate_f64(text).is_ok(), nano.is_ok());
    milli.map_err(shown)?;
    let nano = nano.map_err(shown)?;
    let _ = (nano.milli(), nano.units(), nano.to_whole_milli());
    Ok(())
}

/// Answers of the metrics APIs.
pub fn metrics(input: &[u8]) -> Result<(), String> {
    let refused = |error: flyball_replicas::ports::ObservationError| shown(error.message);
    if let Ok(list) = serde_json::from_slice::<PodMetricsList>(input) {
        return list.samples("cpu", None).map(drop).map_err(refused);
    }
    let list = serde_json::from_slice(input).map_err(shown)?;
    object_value(&list).map_err(refused)?;
    external_values(&list).map_err(refused)?;
    pod_samples(list).map(drop).map_err(refused)
}
