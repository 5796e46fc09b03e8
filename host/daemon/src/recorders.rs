//! Where records of decisions go beside the ring: to a file, and to the log.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context as _;
use flyball_core::nodes::ports::NodesRecorder;
use flyball_core::nodes::record::NodeDecisionRecord;
use flyball_core::ports::{ObjectKey, Recorder};
use flyball_core::record::{DecisionRecord, Outcome, PolicyRecord};
use flyball_core::status::{Condition, condition};
use serde::Serialize;

/// Hands each record to all of these, in order.
pub struct Several(pub Vec<Arc<dyn Recorder>>);

impl Recorder for Several {
    fn record(&self, record: &Arc<DecisionRecord>) {
        for recorder in &self.0 {
            recorder.record(record);
        }
    }

    fn forget(&self, object: &ObjectKey) {
        for recorder in &self.0 {
            recorder.forget(object);
        }
    }
}

/// Records that may wait for the disk.
const WAITING: usize = 8_192;

/// Writes records to a file, a line of JSON each, on a thread of its own.
pub struct RecordFile {
    path: PathBuf,
    when_slow: WhenSlow,
    writing: Mutex<Option<Writing>>,
    dropped: AtomicU64,
}

/// What happens when the disk is slower than the decisions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenSlow {
    /// Decisions wait.
    Wait,
    /// Records are dropped and counted: a disk must not keep a cluster from scaling.
    Drop,
}

/// A line of the file.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Replicas(Arc<DecisionRecord>),
    Nodes(Arc<NodeDecisionRecord>),
}

struct Writing {
    sender: SyncSender<Line>,
    thread: JoinHandle<io::Result<()>>,
}

impl RecordFile {
    /// Appends to a file of a daemon.
    pub fn append_to(path: &Path) -> anyhow::Result<Self> {
        Self::open(
            path,
            OpenOptions::new().create(true).append(true),
            WhenSlow::Drop,
        )
    }

    /// Writes the file of a simulation anew.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        Self::open(
            path,
            OpenOptions::new().create(true).write(true).truncate(true),
            WhenSlow::Wait,
        )
    }

    fn open(path: &Path, options: &OpenOptions, when_slow: WhenSlow) -> anyhow::Result<Self> {
        let file = options
            .open(path)
            .with_context(|| format!("cannot open {} for records", path.display()))?;
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("flyball-records".into())
            .spawn(move || write_all(&receiver, BufWriter::new(file)))
            .context("cannot start the thread that writes records")?;
        Ok(Self {
            path: path.to_owned(),
            when_slow,
            writing: Mutex::new(Some(Writing { sender, thread })),
            dropped: AtomicU64::new(0),
        })
    }

    /// Waits until all records are written.
    pub fn close(&self) -> anyhow::Result<()> {
        let Some(Writing { sender, thread }) = self.writing().take() else {
            return Ok(());
        };
        drop(sender);
        let written = thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread ended")));
        written.with_context(|| format!("cannot write all records to {}", self.path.display()))
    }

    fn writing(&self) -> MutexGuard<'_, Option<Writing>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_one(&self) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        if dropped.is_power_of_two() {
            let file = self.path.display();
            tracing::warn!(%file, dropped, "the disk is too slow: records are left out of the file");
        }
    }
}

impl RecordFile {
    fn write(&self, line: Line) {
        let writing = self.writing();
        let Some(Writing { sender, .. }) = &*writing else {
            return;
        };
        // A thread that has ended says why when the file is closed.
        match self.when_slow {
            WhenSlow::Wait => drop(sender.send(line)),
            WhenSlow::Drop => {
                if let Err(TrySendError::Full(_)) = sender.try_send(line) {
                    self.drop_one();
                }
            }
        }
    }
}

impl Recorder for RecordFile {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.write(Line::Replicas(Arc::clone(record)));
    }
}

impl NodesRecorder for RecordFile {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        self.write(Line::Nodes(Arc::clone(record)));
    }
}

/// Writes until there are no more records; goes on after a failure, which may
/// pass, and returns the last one.
fn write_all(records: &Receiver<Line>, mut file: BufWriter<File>) -> io::Result<()> {
    let mut last = Ok(());
    let mut failing = false;
    while let Ok(first) = records.recv() {
        let result = std::iter::once(first)
            .chain(records.try_iter())
            .try_for_each(|record| write_line(&mut file, &record))
            .and_then(|()| file.flush());
        if let Err(error) = &result
            && !failing
        {
            tracing::error!(%error, "cannot write records");
        }
        failing = result.is_err();
        if failing {
            last = result;
        }
    }
    last
}

fn write_line(file: &mut impl io::Write, record: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *file, record)?;
    file.write_all(b"\n")
}

/// Logs what was done, the lines that policies log, and what keeps an object from
/// being scaled (a target or metric that can't be had, a policy that gives no usable
/// answer): once, until it changes.
#[derive(Default)]
pub struct LogRecorder {
    troubles: Mutex<BTreeMap<ObjectKey, String>>,
}

impl Recorder for LogRecorder {
    fn record(&self, record: &Arc<DecisionRecord>) {
        let object = format!("{}/{}", record.object.namespace, record.object.name);
        for policy in record.policies.iter().flat_map(PolicyRecord::parts) {
            log_lines(policy, &object);
        }
        self.log_trouble(record, &object);
        let verdict = &record.verdict;
        let (from, to) = (
            verdict.from.unwrap_or_default(),
            verdict.to.unwrap_or_default(),
        );
        let policy = policies(record);
        let reason = &verdict.message;
        match &record.outcome {
            Outcome::Scaled => tracing::info!(object, from, to, policy, reason, "scaled"),
            Outcome::Observed => {
                tracing::info!(
                    object,
                    from,
                    to,
                    policy,
                    reason,
                    "would scale (mode Observe)"
                );
            }
            Outcome::Failed(error) => {
                tracing::warn!(object, from, to, policy, reason, error, "could not scale");
            }
            Outcome::Unchanged => tracing::debug!(object, from, policy, reason, "unchanged"),
        }
    }

    fn forget(&self, object: &ObjectKey) {
        self.troubles().remove(object);
    }
}

impl LogRecorder {
    fn log_trouble(&self, record: &DecisionRecord, object: &str) {
        let failures: Vec<String> = record.policies.iter().filter_map(failure).collect();
        let (what, text) = match held(record) {
            _ if !failures.is_empty() => ("a policy gave no usable answer", failures.join("; ")),
            Some(reason) => ("nothing is decided", reason),
            None => ("", String::new()),
        };
        let mut known = self.troubles();
        let before = if text.is_empty() {
            known.remove(&record.object)
        } else {
            known.insert(record.object.clone(), text.clone())
        };
        if before.as_deref().unwrap_or_default() == text {
            return;
        }
        if text.is_empty() {
            tracing::info!(object, "decided again, all policies answer");
        } else {
            tracing::warn!(object, reason = text, "{what}");
        }
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an object is left as it is, where that is somebody's fault: its conditions
/// say so.
fn held(record: &DecisionRecord) -> Option<String> {
    let at_fault = |condition: &&Condition| {
        let decides = [condition::ABLE_TO_SCALE, condition::SCALING_ACTIVE];
        condition.status == "False"
            && decides.contains(&&*condition.kind)
            && condition.reason != "ScalingDisabled"
    };
    record.verdict.to.is_none().then_some(())?;
    let fault = record.conditions.iter().find(at_fault)?;
    Some(format!("{}: {}", fault.reason, fault.message))
}

/// A policy's own lines, at the levels that the contract gives them.
fn log_lines(policy: &PolicyRecord, object: &str) {
    let name = &*policy.name;
    for (level, line) in &policy.log {
        log_line(*level, object, name, line);
    }
}

/// A policy's own line about an object.
pub fn log_line(level: u32, object: &str, policy: &str, line: &str) {
    match level {
        1 => tracing::error!(object, policy, "{line}"),
        2 => tracing::warn!(object, policy, "{line}"),
        3 => tracing::info!(object, policy, "{line}"),
        _ => tracing::debug!(object, policy, "{line}"),
    }
}

fn failure(policy: &PolicyRecord) -> Option<String> {
    let failure = policy.failure()?;
    Some(format!("{}: {failure}", policy.name))
}

/// The policies that answered: `hpa@1a2b3c4d5e6f`.
pub fn policies(record: &DecisionRecord) -> String {
    let names = record.policies.iter().map(|policy| match &policy.version {
        Some(version) => format!("{}@{}", version.name, version.short_digest()),
        None => format!("{} (no answer)", policy.name),
    });
    names.collect::<Vec<_>>().join(", ")
}
