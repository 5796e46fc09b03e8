//! Whatever watched tasks and threads do, one that hangs is reported and moves again, or ends
//! the process within 30 s, and no other is blamed.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flyball_test_support::cases;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{LOG_TIMEOUT, Looks, TICK};
use crate::panics::catch_panic;
use crate::pulse::{Idle, STALLED_AFTER, beat, idle, pulses, stalled, watch, watch_thread};

/// Maximum time from the begin of a hang to the end of the process.
const LIMIT: Duration = Duration::from_secs(30);

/// Names of those that are watched.
const NAMES: [&str; 3] = ["first subject", "second subject", "third subject"];

/// What one that is watched does until its next order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// It beats before each look.
    Beats,
    /// It panics before each look, while it waits in `idle`. The panic is caught: any other
    /// ends the process at once.
    Panics,
    /// It waits in `idle`.
    Idles,
    /// A task waits to be polled, and a thread waits in `idle`.
    Waits,
    Hangs,
    Ends,
}

/// How long a task may wait. `None` stands for a thread.
type Kind = Option<Idle>;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Beats),
        1 => Just(Act::Panics),
        2 => Just(Act::Idles),
        2 => Just(Act::Waits),
        6 => Just(Act::Hangs),
        1 => Just(Act::Ends),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(&[None, Some(Idle::Brief), Some(Idle::Unlimited)][..])
}

/// The other ends of a subject's channels.
struct Orders {
    orders: Receiver<Act>,
    done: Sender<()>,
}

impl Orders {
    /// Reports that the last order was obeyed, and waits for the next one.
    fn next(&self) -> Act {
        let is_wanted = self.done.send(()).is_ok();
        let next = self.orders.recv().ok();
        next.filter(|_| is_wanted).unwrap_or(Act::Ends)
    }

    /// Obeys until the order to wait or to end.
    fn obey(&self, mut act: Act) -> Poll<()> {
        loop {
            act = match act {
                Act::Beats => {
                    beat();
                    self.next()
                }
                Act::Panics => {
                    // Without the hook, which would print it.
                    let _ = catch_panic::<()>(|| idle(|| resume_unwind(Box::new("a test"))));
                    self.next()
                }
                Act::Idles => idle(|| self.next()),
                Act::Hangs => self.next(),
                Act::Waits => return Poll::Pending,
                Act::Ends => return Poll::Ready(()),
            }
        }
    }

    fn live(&self, name: &'static str, kind: Kind) {
        let act = Cell::new(Act::Waits);
        let Some(limit) = kind else {
            return watch_thread(name, || {
                while self.obey(act.get()).is_pending() {
                    act.set(idle(|| self.next()));
                }
            });
        };
        let mut context = Context::from_waker(Waker::noop());
        let mut task = pin!(watch(name, limit, poll_fn(|_| self.obey(act.get()))));
        while task.as_mut().poll(&mut context).is_pending() {
            act.set(self.next());
        }
    }
}

/// A task or a thread that is watched, and what the watchdog must know about it.
struct Subject {
    name: &'static str,
    kind: Kind,
    act: Act,
    /// Whether it has moved since the last look.
    has_moved: bool,
    /// Number of looks since the one that saw it move.
    looks: u32,
    orders: Option<Sender<Act>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Subject {
    fn start(name: &'static str, kind: Kind) -> Self {
        let (sender, orders) = channel();
        let (done, receiver) = channel();
        let thread = thread::spawn(move || Orders { orders, done }.live(name, kind));
        let subject = Self {
            name,
            kind,
            act: Act::Waits,
            has_moved: true,
            looks: 0,
            orders: Some(sender),
            done: receiver,
            thread: Some(thread),
        };
        assert!(subject.done.recv().is_ok());
        subject
    }

    /// Lets it begin with an act.
    fn order(&mut self, act: Act) {
        let orders = self.orders.as_ref();
        assert!(orders.is_some_and(|orders| orders.send(act).is_ok()));
        assert!(self.done.recv().is_ok(), "{act:?}");
        // To hang right after a beat, or to hang on, is no movement.
        let waited = matches!(self.act, Act::Idles | Act::Waits);
        self.has_moved |= waited || act != Act::Hangs;
        self.act = act;
    }

    /// Does what it does before each look.
    fn go_on(&mut self) {
        if matches!(self.act, Act::Beats | Act::Panics) {
            self.order(self.act);
        }
    }

    fn hangs(&self) -> bool {
        self.act == Act::Hangs || (self.act == Act::Waits && self.kind == Some(Idle::Brief))
    }

    /// Notes a look. Returns for how long the subject has stood still since it was seen to move.
    fn looked_at(&mut self) -> Duration {
        let stands_still = self.hangs() && !self.has_moved;
        self.looks = if stands_still { self.looks + 1 } else { 0 };
        self.has_moved = false;
        TICK * self.looks
    }
}

impl Drop for Subject {
    /// Ends it, and waits until it is not watched.
    fn drop(&mut self) {
        self.orders = None;
        let ended = self.thread.take().map(JoinHandle::join);
        let failed = ended.is_some_and(|ended| ended.is_err());
        // A panic while another one unwinds would abort the tests.
        assert!(!failed || thread::panicking(), "the {} failed", self.name);
        // Another test may just be looking at it.
        while pulses().iter().any(|pulse| pulse.name == self.name) {
            thread::yield_now();
        }
    }
}

/// Lets a second pass: the watchdog looks, and what it says is judged. Returns whether it would
/// end the process.
fn pass_second(looks: &mut Looks, subjects: &mut [Option<Subject>]) -> Result<bool, TestCaseError> {
    for subject in subjects.iter_mut().flatten() {
        subject.go_on();
    }
    let mut looked = pulses();
    looked.retain(|pulse| NAMES.contains(&pulse.name));
    for pulse in &looked {
        // No such thread waits for a processor: a second passes from look to look.
        pulse.thread.store(0, Ordering::Relaxed);
    }
    let end = looks.look(&looked);
    drop(looked);
    let red = stalled();
    let is_red = |name: &str| red.iter().any(|one| one.name == name);
    for subject in subjects.iter_mut().flatten() {
        let stood = subject.looked_at();
        let name = subject.name;
        prop_assert_eq!(is_red(name), stood >= STALLED_AFTER, "{} {:?}", name, stood);
        // It may have begun to hang right after the look before, and the end is logged.
        let ended = stood + TICK + LOG_TIMEOUT;
        prop_assert!(ended <= LIMIT, "{name} {stood:?}");
        if end.as_ref().is_some_and(|end| end.name == name) {
            prop_assert!(subject.hangs() && is_red(name), "{name}");
        }
    }
    Ok(end.is_some())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]

    #[test]
    fn what_hangs_is_red_and_moves_again_or_ends_the_process_within_30_s(
        kinds in vec(kind(), NAMES.len()),
        script in vec((0..NAMES.len(), act(), 0..40_u32), 1..20),
    ) {
        let subjects = NAMES.into_iter().zip(kinds);
        let subjects = subjects.map(|(name, kind)| Some(Subject::start(name, kind)));
        let mut subjects: Vec<_> = subjects.collect();
        let mut looks = Looks::default();
        'script: for (number, act, seconds) in script {
            if act == Act::Ends {
                subjects[number] = None;
            } else if let Some(subject) = &mut subjects[number] {
                subject.order(act);
            }
            for _ in 0..seconds {
                if pass_second(&mut looks, &mut subjects)? {
                    break 'script;
                }
            }
        }
    }
}
