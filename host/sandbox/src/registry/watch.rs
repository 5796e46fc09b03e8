//! The thread that watches the policies directory. Notifications of the operating system
//! only trigger an early read; the periodic read is what can be relied on (network file
//! systems send no notifications).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flyball_tasks::{idle, watch_thread};
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::code::Artifact;
use crate::error::{EngineError, LoadError};
use crate::registry::files;
use crate::registry::last_good::LastGood;
use crate::registry::reconcile::Shared;

/// Name of the thread in reports of a stall.
pub(super) const NAME: &str = "watch of the policies directory";

/// Maximum delay of a read by further notifications, in debounce times.
const MAX_DEBOUNCES: u32 = 10;

/// Messages to the thread.
pub(super) enum Message {
    /// Something changed: see [`Notices::changed`].
    Changed,
    /// Read the directory now, and reply when all its files are judged.
    Rescan(Sender<()>),
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
    /// End the thread.
    Stop,
}

/// The sending end of messages to the thread.
#[derive(Clone)]
pub(super) struct Notices {
    sender: Sender<Message>,
    /// The last change, if the thread has not taken it: whether it is complete.
    change: Arc<Mutex<Option<bool>>>,
}

impl Notices {
    /// Creates both ends.
    pub fn open() -> (Self, Receiver<Message>) {
        let (sender, receiver) = channel();
        let change = Arc::default();
        (Self { sender, change }, receiver)
    }

    /// Sends a message. If the thread has ended, the message is dropped.
    pub fn send(&self, message: Message) {
        let _ = self.sender.send(message);
    }

    /// Tells the thread that something changed; `done` is true if the change is complete.
    /// Changes that the thread has not taken are one message: while it judges a policy,
    /// anyone who writes into the directory causes as many as they like.
    pub fn changed(&self, done: bool) {
        let mut change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let before = change.replace(done);
        drop(change);
        if before.is_none() {
            self.send(Message::Changed);
        }
    }

    /// Takes the last change, and returns whether it is complete. A later one is a new
    /// message.
    fn take_change(&self) -> bool {
        let mut change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        change.take().unwrap_or_default()
    }
}

/// Starts the thread.
pub(super) fn start(
    shared: Arc<Shared>,
    directory: PathBuf,
    debounce: Duration,
    rescan: Duration,
) -> Result<Notices, EngineError> {
    let (sender, receiver) = Notices::open();
    let notices = sender.clone();
    // Setting can't fail: this is the only place that sets it.
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
        .spawn(move || watch_thread(NAME, || watch.run()))
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
    notices: Notices,
    /// Senders to notify when nothing is being compiled.
    waiting: Vec<Sender<()>>,
    /// Watches the directory until it is dropped.
    watcher: Option<RecommendedWatcher>,
    /// The error of the last read, if it failed.
    unreadable: Option<String>,
    /// The error of the last attempt to watch the directory, if it failed.
    unwatchable: Option<String>,
}

impl Watch {
    fn run(&mut self) {
        // The watch begins before the first read, so that no change is missed.
        self.watch();
        self.rescan();
        let mut next_rescan = Instant::now() + self.rescan;
        loop {
            self.notify_settled();
            let left = next_rescan.saturating_duration_since(Instant::now());
            match idle(|| self.receiver.recv_timeout(left)) {
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
                Ok(Message::Rescan(done)) => self.waiting.push(done),
                Ok(Message::Changed) => {
                    let done = self.notices.take_change();
                    if self.settle(done).is_err() {
                        return;
                    }
                }
                // Starts a new watch, in case the directory was replaced.
                Err(RecvTimeoutError::Timeout) => self.watch(),
            }
            self.rescan();
            next_rescan = Instant::now() + self.rescan;
        }
    }

    /// Notifies the waiting senders when nothing is being compiled.
    fn notify_settled(&mut self) {
        if !self.waiting.is_empty() && self.shared.is_settled() {
            for done in self.waiting.drain(..) {
                // The receiver may have been dropped.
                let _ = done.send(());
            }
        }
    }

    /// Waits until the directory has been quiet: shortly after a file was closed or
    /// renamed, longer while a file is being written.
    fn settle(&mut self, mut done: bool) -> Result<(), Stopped> {
        let limit = Instant::now() + self.debounce * MAX_DEBOUNCES;
        let quiet = |done| match done {
            true => self.debounce / 4,
            false => self.debounce,
        };
        let mut until = Instant::now() + quiet(done);
        loop {
            let left = until.min(limit).saturating_duration_since(Instant::now());
            match idle(|| self.receiver.recv_timeout(left)) {
                Ok(Message::Changed) => {
                    done = self.notices.take_change();
                    until = Instant::now() + quiet(done);
                }
                // Compiled files need not wait for that.
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
                Ok(Message::Rescan(done)) => {
                    self.waiting.push(done);
                    return Ok(());
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
            }
        }
    }

    fn rescan(&mut self) {
        let Some(mut found) = self.list() else { return };
        // A file that is being replaced is missing for a moment.
        if !self.shared.vanished(&found).is_empty() {
            std::thread::sleep(self.debounce);
            match self.list() {
                Some(again) => found = again,
                None => return,
            }
        }
        self.shared.reconcile(&found, &self.notices);
    }

    /// Returns the files in the directory. Returns `None` if the directory cannot be
    /// read: then no file counts as removed, and every policy stays.
    fn list(&mut self) -> Option<BTreeMap<String, Vec<PathBuf>>> {
        let found = files::list(&self.directory);
        let problem = found.as_ref().err();
        let problem = problem.map(|error| format!("cannot be read, so policies stay: {error}"));
        report(&self.directory, &mut self.unreadable, problem);
        found.ok()
    }

    /// Path of the index that records rollbacks by hand or by another process.
    fn refusals(&self) -> Option<&Path> {
        self.shared.last_good.as_ref().map(LastGood::path)
    }

    fn watch(&mut self) {
        let watcher = watcher(&self.directory, self.refusals(), self.notices.clone());
        // A directory that can't be read is reported by the read.
        let problem = watcher.as_ref().err().filter(|_| self.directory.is_dir());
        let problem = problem.map(|error| {
            let every = self.rescan;
            let why = unwatchable(error);
            format!("changes are noticed only every {every:?}, by a look at the files: {why}")
        });
        report(&self.directory, &mut self.unwatchable, problem);
        self.watcher = watcher.ok();
    }
}

/// Logs a problem once, as long as it lasts.
fn report(directory: &Path, last: &mut Option<String>, problem: Option<String>) {
    if let Some(problem) = problem
        .as_ref()
        .filter(|problem| last.as_ref() != Some(*problem))
    {
        tracing::warn!(directory = %directory.display(), "policies directory: {problem}");
    }
    *last = problem;
}

/// Returns why a directory can't be watched.
fn unwatchable(error: &notify::Error) -> String {
    let why = match &error.kind {
        notify::ErrorKind::Io(error) => error.to_string(),
        notify::ErrorKind::PathNotFound => "it does not exist".to_owned(),
        notify::ErrorKind::MaxFilesWatch => {
            "the system watches no more files (fs.inotify.max_user_watches)".to_owned()
        }
        notify::ErrorKind::Generic(why) => why.clone(),
        _ => error.to_string(),
    };
    match error.paths.first() {
        Some(path) => format!("{}: {why}", path.display()),
        None => why,
    }
}

struct Stopped;

fn watcher(
    directory: &Path,
    refusals: Option<&Path>,
    notices: Notices,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error means that notifications were lost.
        let change = event.map_or(Some(false), |event| change(&event.kind));
        if let Some(done) = change {
            notices.changed(done);
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    if let Some(refusals) = refusals {
        watcher.watch(refusals, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Returns whether a change is complete, or `None` if the event is not a change. Reading
/// the files causes events too; reacting to those would never end.
fn change(kind: &EventKind) -> Option<bool> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(_)) => Some(true),
        EventKind::Access(_) => None,
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, Notices};

    #[test]
    fn changes_that_the_thread_has_not_taken_are_one_message() {
        let (notices, receiver) = Notices::open();
        for last in [true, false] {
            for _ in 0..10_000 {
                notices.changed(!last);
            }
            notices.changed(last);
            let waiting: Vec<Message> = receiver.try_iter().collect();
            assert!(matches!(waiting[..], [Message::Changed]));
            assert_eq!(notices.take_change(), last);
        }
        // What comes after a change was taken is not lost.
        notices.changed(true);
        assert!(matches!(receiver.try_recv(), Ok(Message::Changed)));
    }
}
