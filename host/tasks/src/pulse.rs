//! Pulses of tasks: whether a task is being polled, and how often it was. A thread has a
//! pulse like a task of a single poll, which lasts as long as the thread.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

/// Time after which a task or a thread that stands still is reported: more than the longest
/// request, 15 s to a cloud.
pub const STALLED_AFTER: Duration = Duration::from_secs(18);

/// The pulses of all watched tasks.
static PULSES: Mutex<Vec<Weak<Pulse>>> = Mutex::new(Vec::new());

thread_local! {
    /// The pulse of the task that this thread polls.
    static POLLED: RefCell<Option<Arc<Pulse>>> = const { RefCell::new(None) };
}

/// How long a task may wait without being polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// All that it waits for has a time limit of a few seconds.
    Brief,
    /// It may wait for ever, for example for a connection. Only a poll that does not end
    /// is a stall.
    Unlimited,
}

/// A task or a thread that has stood still for longer than [`STALLED_AFTER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// Its name.
    pub name: &'static str,
    /// For how long.
    pub duration: Duration,
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, seconds) = (self.name, self.duration.as_secs());
        write!(f, "the {name} has not moved for {seconds} s")
    }
}

/// Pulse of one task. The task writes all but the last field, and the watchdog reads them.
#[derive(Debug)]
pub(crate) struct Pulse {
    pub name: &'static str,
    pub idle: Idle,
    /// Number of polls, or of parts of work, that began or ended.
    pub beats: AtomicU64,
    /// Whether a poll is in progress.
    pub is_polled: AtomicBool,
    /// Whether the task does work that has time limits of its own, or waits in a thread.
    pub is_bounded: AtomicBool,
    /// Operating system's id of the thread of the latest poll; 0 if it is not known.
    pub thread: AtomicU64,
    /// Written by the watchdog.
    pub stalled_ms: AtomicU64,
}

/// A watched task. It is no longer watched when this is dropped.
pub struct Watched<F> {
    pulse: Arc<Pulse>,
    task: Pin<Box<F>>,
}

/// Watches a task. Its name completes the sentence "the NAME has not moved".
pub fn watch<F: Future>(name: &'static str, idle: Idle, task: F) -> Watched<F> {
    Watched {
        pulse: register(name, idle),
        task: Box::pin(task),
    }
}

/// Watches this thread while it runs `work`. It waits in [`idle`], as long as it likes;
/// anything else that takes too long is a stall, unless it is [`bounded`] or goes on from
/// [`beat`] to [`beat`].
pub fn watch_thread<T>(name: &'static str, work: impl FnOnce() -> T) -> T {
    register(name, Idle::Unlimited).run(work)
}

fn register(name: &'static str, idle: Idle) -> Arc<Pulse> {
    let pulse = Arc::new(Pulse {
        name,
        idle,
        beats: AtomicU64::new(0),
        is_polled: AtomicBool::new(false),
        is_bounded: AtomicBool::new(false),
        thread: AtomicU64::new(0),
        stalled_ms: AtomicU64::new(0),
    });
    registered().push(Arc::downgrade(&pulse));
    pulse
}

/// Returns the tasks and threads that stand still, by the latest look of the watchdog.
#[must_use]
pub fn stalled() -> Vec<Stalled> {
    let stalled = pulses().into_iter().filter_map(|pulse| {
        let duration = Duration::from_millis(pulse.stalled_ms.load(Ordering::Relaxed));
        (duration >= STALLED_AFTER).then_some(Stalled {
            name: pulse.name,
            duration,
        })
    });
    stalled.collect()
}

/// Returns the pulses of the tasks and threads that exist.
pub(crate) fn pulses() -> Vec<Arc<Pulse>> {
    let mut registered = registered();
    registered.retain(|pulse| pulse.strong_count() > 0);
    registered.iter().filter_map(Weak::upgrade).collect()
}

fn registered() -> MutexGuard<'static, Vec<Weak<Pulse>>> {
    PULSES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pulse {
    /// Runs work of the task in this thread.
    fn run<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        self.thread.store(thread_id(), Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.is_polled.store(true, Ordering::Release);
        let outer = POLLED.replace(Some(Arc::clone(self)));
        let done = work();
        POLLED.set(outer);
        self.is_polled.store(false, Ordering::Release);
        self.beats.fetch_add(1, Ordering::Relaxed);
        done
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let pulse = Arc::clone(&self.pulse);
        pulse.run(|| self.task.as_mut().poll(cx))
    }
}

/// Runs work of a watched task or thread that has time limits of its own. It is no stall,
/// however long it takes.
pub fn bounded<T>(work: impl FnOnce() -> T) -> T {
    excepted(work)
}

/// Waits in a watched thread, for example for orders. It is no stall, however long it takes.
pub fn idle<T>(wait: impl FnOnce() -> T) -> T {
    excepted(wait)
}

/// Reports that a watched task or thread has finished a part of its work.
pub fn beat() {
    POLLED.with_borrow(|pulse| {
        if let Some(pulse) = pulse {
            pulse.beats.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Returns how often the watched task or thread has moved that runs in this thread. Returns 0
/// if none does. For tests of work that must beat.
#[must_use]
pub fn beats() -> u64 {
    POLLED.with_borrow(|pulse| {
        let beats = pulse.as_ref().map(|pulse| &pulse.beats);
        beats.map_or(0, |beats| beats.load(Ordering::Relaxed))
    })
}

fn excepted<T>(work: impl FnOnce() -> T) -> T {
    /// Ends the exception, even if the work panics.
    struct Excepted(Option<Arc<Pulse>>);
    impl Drop for Excepted {
        fn drop(&mut self) {
            if let Some(pulse) = &self.0 {
                pulse.beats.fetch_add(1, Ordering::Relaxed);
                pulse.is_bounded.store(false, Ordering::Release);
            }
        }
    }
    let pulse = POLLED.with_borrow(Clone::clone);
    if let Some(pulse) = &pulse {
        pulse.is_bounded.store(true, Ordering::Release);
    }
    let _excepted = Excepted(pulse);
    work()
}

/// Returns the operating system's id of this thread. Returns 0 if it is not known.
fn thread_id() -> u64 {
    thread_local! {
        static ID: u64 = read_thread_id().unwrap_or(0);
    }
    ID.with(|id| *id)
}

/// Reads the id from the link `/proc/thread-self`, which leads to `PID/task/ID`.
fn read_thread_id() -> Option<u64> {
    let link = std::fs::read_link("/proc/thread-self").ok()?;
    link.file_name()?.to_str()?.parse().ok()
}
