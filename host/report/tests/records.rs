//! Records of earlier releases are read, and written back unchanged.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use flyball_decision::question::RecordedQuestion;
use flyball_decision::recorded::{RecordedInput, RecordedInputs};
use flyball_decision::recorder::Recorder as _;
use flyball_decision::replay::{Replay, replay};
use flyball_decision::ring::Ring;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::DecisionRecord;
use flyball_report::document::{Documented as _, Tone};
use flyball_report::record::{InvalidRecord, Record};
use flyball_test_support::vectors;
use serde_json::{Value, json};

fn earlier() -> Vec<Value> {
    let files = ["records/daemon", "records/closures"];
    let records = files.map(|file| vectors::read::<Value>(file).unwrap());
    records.concat()
}

fn read(record: &Value) -> Result<Record, InvalidRecord> {
    Record::from_line(record.to_string().as_bytes())
}

#[test]
fn records_of_earlier_releases_are_read_whole() {
    let records = earlier();
    assert_eq!(records.len(), 61);
    let mut asked = 0;
    for record in &records {
        let known = read(record).unwrap();
        // Columns that a later release has added are filled.
        let whole = serde_json::to_value(&known).unwrap();
        assert!(holds(&whole, record), "{record}\nis read as\n{whole}");
        let document = known.document();
        let text = document.to_string();
        assert!(text.contains(&format!("({})\n", document.code)), "{text}");
        // Without policies, only decisions that need none are decided again.
        match known {
            Record::Replicas(known) => {
                let again = replay(&*known, |_| None);
                assert!(!matches!(again, Replay::Differs { .. }), "{record}");
                asked += known.policies.len();
            }
            Record::Nodes(known) => {
                let again = replay(&*known, |_| None);
                assert!(!matches!(again, Replay::Differs { .. }), "{record}");
                asked += known.rounds.len();
            }
        }
    }
    assert!(asked > 40, "{asked}");
}

/// Returns whether a value has all that another one has.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(field, part)| {
            let whole = whole.get(field);
            whole.is_some_and(|whole| holds(whole, part))
        }),
        (Value::Array(whole), Value::Array(part)) => {
            let mut pairs = whole.iter().zip(part);
            whole.len() == part.len() && pairs.all(|(whole, part)| holds(whole, part))
        }
        _ => whole == part,
    }
}

#[test]
fn what_is_no_record_is_refused_and_what_is_wrong_is_named() {
    let is_of_nodes = |record: &&Value| record["rounds"].as_array().is_some_and(|r| !r.is_empty());
    let records = earlier();
    let nodes = records.iter().find(is_of_nodes).unwrap();
    let replicas = records
        .iter()
        .find(|record| record["policies"][0].is_object());
    let part = |record: &Value, field: &str, value: Value| {
        let mut record = record.clone();
        let parts = match record.get_mut("policies") {
            Some(parts) => &mut parts[0],
            None => &mut record["rounds"][0]["expanders"][0],
        };
        parts[field] = value;
        record
    };
    let replicas = replicas.unwrap();
    let samples = json!({ "atMs": [], "replicas": [] });
    for (record, word) in [
        (part(nodes, "recommendations", samples), "recommendations"),
        (part(replicas, "rows", json!([0])), "rows"),
        (part(nodes, "answer", json!({ "decision": {} })), "decision"),
        (
            part(replicas, "answer", json!({ "ranking": {} })),
            "ranking",
        ),
        (part(nodes, "rows", json!("all")), "all"),
        (part(replicas, "answer", json!({})), "decision"),
    ] {
        let Err(InvalidRecord::Json(error)) = read(&record) else {
            panic!("{word} is taken");
        };
        assert!(error.to_string().contains(word), "{error}");
    }
    let mut lacking = nodes.clone();
    let part = lacking["rounds"][0]["expanders"][0]
        .as_object_mut()
        .unwrap();
    part.remove("rows");
    let error = format!("{:?}", read(&lacking).unwrap_err());
    assert!(error.contains("missing field `rows`"), "{error}");
    let later = json!({ "format": "flyball.dev/decision/v9" });
    let error = read(&later).unwrap_err().to_string();
    assert!(
        error.contains("v9") && error.contains("v1alpha1"),
        "{error}"
    );
}

/// A record of a release before a column existed is read with marks in its place, which a
/// policy understands; a column of another length is named.
#[test]
fn a_column_that_a_record_lacks_is_unknown_and_a_ragged_one_is_refused() {
    let has_pods = |record: &&Value| record["input"]["pods"]["startMs"][1].is_i64();
    let has_options = |record: &&Value| record["rounds"][0]["input"]["options"].is_object();
    let records = earlier();
    let replicas = records.iter().find(has_pods).unwrap();
    let nodes = records.iter().find(has_options).unwrap();
    let replica_columns = ["/input/pods/startMs", "/input/metrics/0/windowMs"];
    let option_columns = ["/rounds/0/input/options/nodePrice"];
    let replica_columns = replica_columns.map(|column| (replicas, column));
    let option_columns = option_columns.map(|column| (nodes, column));
    for (record, pointer) in replica_columns.iter().chain(&option_columns) {
        let (parent, column) = pointer.rsplit_once('/').unwrap();
        let mut before = (*record).clone();
        let columns = before.pointer_mut(parent).unwrap();
        columns.as_object_mut().unwrap().remove(column).unwrap();
        let known = serde_json::to_value(read(&before).unwrap()).unwrap();
        let filled = known.pointer(pointer).unwrap().as_array().unwrap();
        let whole = record.pointer(pointer).unwrap().as_array().unwrap();
        assert_eq!(filled.len(), whole.len(), "{pointer}");
        assert!(filled.iter().all(|entry| *entry == filled[0]), "{pointer}");

        let mut ragged = (*record).clone();
        let entries = ragged.pointer_mut(pointer).unwrap();
        entries.as_array_mut().unwrap().push(json!(1));
        let error = read(&ragged).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        let entries = whole.len() + 1;
        assert!(
            source.starts_with(&format!("column {column} has {entries} entries")),
            "{source}"
        );
    }
}

#[test]
fn a_document_tells_how_many_orders_were_not_accepted() {
    let records = earlier();
    let is_of_two = |record: &&Value| record["outcomes"] == json!(["ordered", "ordered"]);
    let mut record = records.iter().find(is_of_two).unwrap().clone();
    let refused = json!({ "failed": { "class": "OutOfResources", "message": "none left" } });
    for (outcomes, end, tone) in [
        (json!(["ordered", "ordered"]), ")}]", Tone::Good),
        (
            json!(["ordered", refused]),
            ")}], 1 of 2 not ordered",
            Tone::Good,
        ),
        (json!([refused, refused]), ")}], not ordered", Tone::Plain),
    ] {
        record["outcomes"] = outcomes;
        let document = read(&record).unwrap().document();
        assert!(document.result.ends_with(end), "{}", document.result);
        assert_eq!(document.tone, tone);
        assert!(!document.because.contains("->"), "{}", document.because);
        let failed = document.notes().filter(|note| note.tone == Tone::Bad);
        assert_eq!(
            failed.count(),
            record["outcomes"].to_string().matches("failed").count()
        );
    }
}

/// Rings filled with the records of earlier releases, for so many bytes each.
fn filled(replicas: usize, nodes: usize) -> (Ring<DecisionRecord>, Ring<NodeDecisionRecord>) {
    let rings = (Ring::new(replicas), Ring::new(nodes));
    for record in &earlier() {
        match read(record).unwrap() {
            Record::Replicas(record) => rings.0.record(&record),
            Record::Nodes(record) => rings.1.record(&record),
        }
    }
    rings
}

#[test]
fn a_ring_keeps_the_latest_records_within_its_limit() {
    let nodes = earlier()
        .iter()
        .filter(|record| matches!(read(record), Ok(Record::Nodes(_))))
        .count();
    let all = filled(0, usize::MAX).1.latest(usize::MAX);
    assert_eq!(all.len(), nodes);
    let (replicas, ring) = filled(0, 30_000);
    let kept = ring.latest(usize::MAX);
    assert!((2..all.len()).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept, all[..kept.len()]);
    // A record that is larger than the ring is not kept.
    assert!(replicas.latest(usize::MAX).is_empty());
    assert_eq!(ring.latest(1), all[..1]);
}

#[test]
fn what_a_policy_was_asked_is_found_in_the_ring_of_its_kind() {
    let (replicas, nodes) = filled(usize::MAX, usize::MAX);
    let of_replicas = RecordedInputs::latest(&replicas, "nobody");
    let of_nodes = RecordedInputs::latest(&nodes, "nobody");
    let is_of_nodes =
        |input: &RecordedInput| matches!(input.question, RecordedQuestion::Expander(_));
    assert!(!of_replicas.is_empty() && !of_replicas.iter().any(is_of_nodes));
    assert!(!of_nodes.is_empty() && of_nodes.iter().all(is_of_nodes));
    // A fallback was asked in its place: the input is that of the policy asked for.
    let mut inputs = of_replicas.iter().chain(&of_nodes);
    assert!(inputs.all(|input| input.asked.is_none()));
}
