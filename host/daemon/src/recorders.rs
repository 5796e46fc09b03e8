//! Recorder that logs decisions: the documents of their records, which `why` prints, too.

use std::collections::BTreeMap;
use std::iter::once;
use std::sync::{Arc, Mutex, PoisonError};

use flyball_decision::key::ObjectKey;
use flyball_decision::part::Part;
use flyball_decision::question::Question;
use flyball_decision::recorder::Recorder;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::DecisionRecord;
use flyball_report::document::{ABOUT_NODES, Document, Documented as _, Tone};

/// Logs the lines of policies, Cluster Autoscaler's lines about nodes, and of each record's
/// document:
///
/// | level | what |
/// |---|---|
/// | warning | what failed; what fails in each decision is logged once, until it changes |
/// | information | a decision that was carried out, and the first one after a failure |
/// | debug | the whole document |
#[derive(Default)]
pub struct LogRecorder {
    /// What failed in the last decision and fails until it is mended, by object.
    failing: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Recorder<DecisionRecord> for LogRecorder {
    fn record(&self, record: &Arc<DecisionRecord>) {
        let object = object_name(&record.object);
        log_lines(&record.policies, &object);
        self.log(&object, record.sequence, &record.document());
    }

    fn forget(&self, object: &ObjectKey) {
        self.replace_failing(&object_name(object), Vec::new());
    }
}

impl Recorder<NodeDecisionRecord> for LogRecorder {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        let rounds = record.rounds.iter();
        log_lines(rounds.flat_map(|round| &round.expanders), ABOUT_NODES);
        if let Some(removals) = &record.scale_down {
            let (pods, nodes) = (&removals.questions.pods, &removals.questions.nodes);
            log_lines(pods.iter().flat_map(|asked| &asked.policies), ABOUT_NODES);
            log_lines(nodes.iter().flat_map(|asked| &asked.policies), ABOUT_NODES);
        }
        for line in &record.log {
            tracing::info!("{line}");
        }
        self.log(ABOUT_NODES, record.sequence, &record.document());
    }
}

impl LogRecorder {
    /// Logs the document of a record about an object. `record` is the record's sequence
    /// number.
    fn log(&self, object: &str, record: u64, document: &Document) {
        let reason = &*document.code;
        let headline = document.headline();
        let notes = document.notes().map(|note| (note.tone, note.to_string()));
        let (mut failed, mut failing) = (Vec::new(), Vec::new());
        for (tone, line) in once((document.tone, headline.clone())).chain(notes) {
            match tone {
                Tone::Bad => failed.push(line),
                Tone::Failing => failing.push(line),
                _ => {}
            }
        }
        let before = self.replace_failing(object, failing.clone());
        let has_recovered = failing.is_empty() && !before.is_empty();
        failing.retain(|line| !before.contains(line));
        for line in failing.iter().chain(&failed) {
            tracing::warn!(object, record, reason, "{line}");
        }
        if document.tone == Tone::Good || (document.tone == Tone::Plain && has_recovered) {
            tracing::info!(object, record, reason, "{headline}");
        }
        for line in document.to_string().lines() {
            tracing::debug!(object, record, reason, "{line}");
        }
    }

    /// Sets what fails for an object. Returns what failed before.
    fn replace_failing(&self, object: &str, failing: Vec<String>) -> Vec<String> {
        let mut known = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match failing.is_empty() {
            true => known.remove(object),
            false => known.insert(object.to_owned(), failing),
        };
        before.unwrap_or_default()
    }
}

fn object_name(object: &ObjectKey) -> String {
    format!("{}/{}", object.namespace, object.name)
}

/// Logs the lines that policies logged about an object, at the contract's levels.
fn log_lines<'a, Q: Question>(parts: impl IntoIterator<Item = &'a Part<Q>>, object: &str) {
    for part in parts.into_iter().flat_map(Part::parts) {
        let policy = &*part.name;
        for (level, line) in &part.log {
            match level {
                1 => tracing::error!(object, policy, "{line}"),
                2 => tracing::warn!(object, policy, "{line}"),
                3 => tracing::info!(object, policy, "{line}"),
                _ => tracing::debug!(object, policy, "{line}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex, PoisonError};

    use flyball_decision::recorder::Recorder as _;
    use flyball_report::document::{Documented as _, Tone};
    use flyball_report::record::Record;
    use flyball_test_support::vectors;
    use serde_json::Value;
    use tracing::Level;

    use super::LogRecorder;
    use crate::logging::JsonLines;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            buffer.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the record on this line of a file of vectors, about the object
    /// `default/web` if it is about replicas.
    fn record(file: &str, line: usize) -> anyhow::Result<Record> {
        let records = vectors::read::<Value>(file)?;
        let mut record = records.get(line).cloned().unwrap_or_default();
        if record["object"].is_object() {
            record["object"] = serde_json::json!({"namespace": "default", "name": "web"});
        }
        Ok(Record::from_line(record.to_string().as_bytes())?)
    }

    /// Logs records and returns the events.
    fn log(records: &[&Record]) -> anyhow::Result<Vec<Value>> {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(JsonLines { with_target: false })
            .with_max_level(Level::INFO)
            .with_writer(move || writer.clone())
            .finish();
        let recorder = LogRecorder::default();
        tracing::subscriber::with_default(subscriber, || {
            for record in records {
                match record {
                    Record::Replicas(record) => recorder.record(record),
                    Record::Nodes(record) => recorder.record(record),
                }
            }
        });
        let bytes = buffer.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = bytes.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        lines
            .map(|line| Ok(serde_json::from_slice(line)?))
            .collect()
    }

    fn levels_and_messages(events: &[Value]) -> Vec<(&str, &str)> {
        let events = events
            .iter()
            .filter_map(|event| Some((event["level"].as_str()?, event["message"].as_str()?)));
        events.collect()
    }

    #[test]
    fn what_fails_in_each_decision_is_logged_once_in_the_words_of_its_document()
    -> anyhow::Result<()> {
        let trapped = record("records/closures", 14)?;
        let held = record("records/closures", 3)?;
        let scaled = record("records/daemon", 3)?;
        let notes = trapped.document();
        let mut notes = notes.notes().filter(|note| note.tone == Tone::Failing);
        let trapped_line = notes.next().map_or_else(String::new, ToString::to_string);
        assert!(trapped_line.ends_with("unreachable"), "{trapped_line}");
        let held_line = held.document().headline();
        let scaled_line = scaled.document().headline();
        assert!(scaled_line.ends_with("above target"), "{scaled_line}");

        let events = log(&[&trapped, &trapped, &held, &held, &trapped, &scaled, &scaled])?;
        assert_eq!(
            levels_and_messages(&events),
            [
                ("WARN", &*trapped_line),
                ("WARN", &*held_line),
                ("WARN", &*trapped_line),
                ("INFO", &*scaled_line),
                ("INFO", &*scaled_line),
            ]
        );
        let Some(last) = events.last() else {
            anyhow::bail!("nothing was logged");
        };
        assert_eq!(last["object"], "default/web");
        assert_eq!(last["reason"], "AboveTarget");
        assert!(last["record"].is_u64(), "{last}");
        Ok(())
    }

    #[test]
    fn an_order_that_fails_is_logged_each_time() -> anyhow::Result<()> {
        let refused = record("records/closures", 13)?;
        let events = log(&[&refused, &refused])?;
        let mut events = levels_and_messages(&events);
        events.retain(|(level, _)| *level == "WARN");
        let line = "order {a 0->1 (max: 5)}: OutOfResources: a: there is nothing left";
        assert_eq!(events, [("WARN", line), ("WARN", line)]);
        Ok(())
    }
}
