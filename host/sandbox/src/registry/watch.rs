//! The background thread that watches the policies directory. Notices from the
//! operating system are a hint to look; the periodic look is what can be relied
//! on (network file systems send no notices).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::compile::code::Artifact;
use crate::error::{EngineError, LoadError};
use crate::registry::files;
use crate::registry::last_good::LastGood;
use crate::registry::reconcile::Shared;

/// How long notices may keep a look from being taken, in debounce times.
const PATIENCE: u32 = 10;

/// Messages to the thread.
pub(super) enum Message {
    /// Something changed; `done` if whoever changed it has finished.
    Changed { done: bool },
    /// Look now, and say when all is settled.
    Look(Sender<()>),
    /// A file was compiled, or refused.
    Compiled {
        name: String,
        /// Number of the load.
        number: u64,
        outcome: Result<Artifact, LoadError>,
    },
    /// A last good copy was compiled, or refused.
    Restored {
        name: String,
        digest: String,
        outcome: Result<Artifact, LoadError>,
    },
    /// End.
    Stop,
}

/// Starts the thread.
pub(super) fn start(
    shared: Arc<Shared>,
    directory: PathBuf,
    debounce: Duration,
    rescan: Duration,
) -> Result<Sender<Message>, EngineError> {
    let (sender, receiver) = channel();
    let notices = sender.clone();
    // It is empty: this is the only place that fills it.
    let _ = shared.watch.set(sender.clone());
    let mut watch = Watch {
        shared,
        directory,
        debounce,
        rescan,
        receiver,
        notices,
        waiting: Vec::new(),
        watcher: None,
        unreadable: None,
        unwatchable: None,
    };
    std::thread::Builder::new()
        .name("flyball-policies".into())
        .spawn(move || watch.run())
        .map_err(|error| {
            EngineError::Setup(format!("cannot start the policies thread: {error}"))
        })?;
    Ok(sender)
}

struct Watch {
    shared: Arc<Shared>,
    directory: PathBuf,
    debounce: Duration,
    rescan: Duration,
    receiver: Receiver<Message>,
    notices: Sender<Message>,
    /// Senders to notify when all is settled.
    waiting: Vec<Sender<()>>,
    /// Watches as long as it is kept.
    watcher: Option<RecommendedWatcher>,
    /// What kept the directory from being read last time.
    unreadable: Option<String>,
    /// What kept it from being watched last time.
    unwatchable: Option<String>,
}

impl Watch {
    fn run(&mut self) {
        // Watching begins before the first look: nothing falls in between.
        self.watch();
        self.look();
        let mut next_rescan = Instant::now() + self.rescan;
        loop {
            self.tell_settled();
            let left = next_rescan.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Message::Compiled {
                    name,
                    number,
                    outcome,
                }) => {
                    self.shared.compiled(&name, number, outcome);
                    continue;
                }
                Ok(Message::Restored {
                    name,
                    digest,
                    outcome,
                }) => {
                    // Its file may have waited for it.
                    self.shared.restored(&name, &digest, outcome);
                }
                Ok(Message::Look(done)) => self.waiting.push(done),
                Ok(Message::Changed { done }) => {
                    if self.settle(done).is_err() {
                        return;
                    }
                }
                // A directory that was replaced is watched anew.
                Err(RecvTimeoutError::Timeout) => self.watch(),
            }
            self.look();
            next_rescan = Instant::now() + self.rescan;
        }
    }

    /// Tells those who wait for it when nothing is being compiled.
    fn tell_settled(&mut self) {
        if !self.waiting.is_empty() && self.shared.is_settled() {
            for done in self.waiting.drain(..) {
                // Who asked may have gone.
                let _ = done.send(());
            }
        }
    }

    /// Waits until the directory has been quiet for a while: a short one after a
    /// file was closed or renamed, the whole one while something is being written.
    fn settle(&mut self, mut done: bool) -> Result<(), Stopped> {
        let limit = Instant::now() + self.debounce * PATIENCE;
        let quiet = |done| match done {
            true => self.debounce / 4,
            false => self.debounce,
        };
        let mut until = Instant::now() + quiet(done);
        loop {
            let left = until.min(limit).saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(Message::Changed { done: now }) => {
                    done = now;
                    until = Instant::now() + quiet(done);
                }
                // What was compiled need not wait for it.
                Ok(Message::Compiled {
                    name,
                    number,
                    outcome,
                }) => self.shared.compiled(&name, number, outcome),
                Ok(Message::Restored {
                    name,
                    digest,
                    outcome,
                }) => self.shared.restored(&name, &digest, outcome),
                Ok(Message::Look(done)) => {
                    self.waiting.push(done);
                    return Ok(());
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
            }
        }
    }

    fn look(&mut self) {
        let Some(mut found) = self.list() else { return };
        // A file that is being replaced is gone for a moment.
        if !self.shared.vanished(&found).is_empty() {
            std::thread::sleep(self.debounce);
            match self.list() {
                Some(again) => found = again,
                None => return,
            }
        }
        self.shared.reconcile(&found, &self.notices);
    }

    /// Returns the files in the directory. `None` if the directory cannot be read: then
    /// no file is known to be gone, and every policy stays.
    fn list(&mut self) -> Option<BTreeMap<String, Vec<PathBuf>>> {
        let found = files::list(&self.directory);
        let trouble = found.as_ref().err().map(|error| error.to_string());
        report(&self.directory, &mut self.unreadable, trouble);
        found.ok()
    }

    /// Path of the record of versions rolled back by hand or by another process.
    fn refusals(&self) -> Option<&Path> {
        self.shared.last_good.as_ref().map(LastGood::path)
    }

    fn watch(&mut self) {
        let watcher = watcher(&self.directory, self.refusals(), self.notices.clone());
        let trouble = watcher.as_ref().err().map(|error| {
            let every = self.rescan;
            format!("no notices, looking every {every:?}: {error}")
        });
        report(&self.directory, &mut self.unwatchable, trouble);
        self.watcher = watcher.ok();
    }
}

/// Logs a trouble once, as long as it lasts.
fn report(directory: &Path, last: &mut Option<String>, trouble: Option<String>) {
    if let Some(trouble) = trouble
        .as_ref()
        .filter(|trouble| last.as_ref() != Some(*trouble))
    {
        tracing::warn!(directory = %directory.display(), "policies directory: {trouble}");
    }
    *last = trouble;
}

struct Stopped;

fn watcher(
    directory: &Path,
    refusals: Option<&Path>,
    notices: Sender<Message>,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error means that notices were lost.
        let change = event.map_or(Some(false), |event| change(&event.kind));
        if let Some(done) = change {
            // The thread may have ended.
            let _ = notices.send(Message::Changed { done });
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    if let Some(refusals) = refusals {
        watcher.watch(refusals, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Whether it is a change, and one that finishes what was being done. Reading the
/// files makes notices too; following those would never end.
fn change(kind: &EventKind) -> Option<bool> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(_)) => Some(true),
        EventKind::Access(_) => None,
        _ => Some(false),
    }
}
