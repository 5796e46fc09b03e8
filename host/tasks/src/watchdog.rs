//! The thread that looks at the pulses.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::pulse::{Idle, Pulse, Stalled, pulses};

/// Time between two looks.
const TICK: Duration = Duration::from_secs(1);

/// Time after which the process ends.
const END_AFTER: Duration = Duration::from_secs(28);

/// Time limit for logging why the process ends. The log itself may be what hangs.
const LOG_TIMEOUT: Duration = Duration::from_secs(1);

/// Length of the kernel's clock ticks, in milliseconds: 100 ticks a second on all
/// platforms (`USER_HZ`).
const CLOCK_TICK_MS: u64 = 10;

/// Starts the thread that ends the process with exit code 102 if a watched task or thread
/// stands still. Time is counted in looks, so that a process that was stopped for a while has the
/// time to move again.
///
/// # Errors
/// If the thread can't be started.
pub fn start_watchdog() -> io::Result<()> {
    let thread = thread::Builder::new().name("flyball-watchdog".into());
    thread.spawn(|| {
        let mut looks = Looks::default();
        loop {
            thread::sleep(TICK);
            if let Some(stalled) = looks.look(&pulses()) {
                end(stalled);
            }
        }
    })?;
    Ok(())
}

/// Returns the tasks and threads for which the watchdog would end the process if all went on
/// as it is now. For tests, which need not wait for it.
#[must_use]
pub fn hanging() -> Vec<&'static str> {
    let pulses = pulses();
    let hanging = pulses.iter().filter(|pulse| hangs(pulse));
    hanging.map(|pulse| pulse.name).collect()
}

fn hangs(pulse: &Arc<Pulse>) -> bool {
    let mut looks = Looks::default();
    let looked = std::slice::from_ref(pulse);
    // A look may see less than a second, if the thread waited for a processor.
    (0..2 * END_AFTER.as_secs()).any(|_| looks.look(looked).is_some())
}

fn end(stalled: Stalled) -> ! {
    // Without a thread, the exit code has to do.
    let logging = thread::Builder::new().spawn(move || {
        tracing::error!("flyball ends: {stalled}");
    });
    if let Ok(logging) = logging {
        let mut waited = Duration::ZERO;
        while !logging.is_finished() && waited < LOG_TIMEOUT {
            let step = Duration::from_millis(10);
            thread::sleep(step);
            waited += step;
        }
    }
    process::exit(102)
}

/// What the latest look has seen, by the pulses' addresses.
#[derive(Default)]
struct Looks(BTreeMap<usize, Look>);

#[derive(Clone, Copy)]
struct Look {
    beats: u64,
    /// Times of the thread that polled the task, or of the watched thread.
    times: Option<ThreadTimes>,
    stalled: Duration,
}

impl Looks {
    /// Looks at all pulses. Returns a task that has stood still for too long.
    fn look(&mut self, pulses: &[Arc<Pulse>]) -> Option<Stalled> {
        let before = std::mem::take(&mut self.0);
        let mut too_long = None;
        for pulse in pulses {
            let address = Arc::as_ptr(pulse).addr();
            let look = look(pulse, before.get(&address));
            let stalled_ms = u64::try_from(look.stalled.as_millis()).unwrap_or(u64::MAX);
            pulse.stalled_ms.store(stalled_ms, Ordering::Relaxed);
            if look.stalled >= END_AFTER {
                too_long = Some(Stalled {
                    name: pulse.name,
                    duration: look.stalled,
                });
            }
            self.0.insert(address, look);
        }
        too_long
    }
}

fn look(pulse: &Pulse, before: Option<&Look>) -> Look {
    let beats = pulse.beats.load(Ordering::Relaxed);
    let is_polled = pulse.is_polled.load(Ordering::Acquire);
    let times = is_polled.then(|| ThreadTimes::read(pulse.thread.load(Ordering::Relaxed)));
    let times = times.flatten();
    let may_stand_still =
        pulse.is_bounded.load(Ordering::Acquire) || (pulse.idle == Idle::Unlimited && !is_polled);
    let stands_still = before.filter(|before| before.beats == beats && !may_stand_still);
    let stalled = stands_still.map_or(Duration::ZERO, |before| {
        (before.stalled + TICK).saturating_sub(waited(before.times, times))
    });
    Look {
        beats,
        times,
        stalled,
    }
}

/// Times of a thread.
#[derive(Clone, Copy)]
struct ThreadTimes {
    /// For how long it had a processor.
    computed: Duration,
    /// For how long it was ready to run and had no processor. `None` if the kernel does not
    /// say.
    waited: Option<Duration>,
}

impl ThreadTimes {
    /// Returns the times of a thread of this process.
    fn read(thread: u64) -> Option<Self> {
        let task = format!("/proc/self/task/{thread}");
        if let Ok(schedstat) = fs::read_to_string(format!("{task}/schedstat")) {
            let times = schedstat.split_ascii_whitespace();
            let mut times = times.map(|time| time.parse().map(Duration::from_nanos));
            let computed = times.next()?.ok()?;
            // All are zero if the kernel does not count them.
            if !computed.is_zero() {
                let waited = Some(times.next()?.ok()?);
                return Some(Self { computed, waited });
            }
        }
        let stat = fs::read_to_string(format!("{task}/stat")).ok()?;
        // The second field, the thread's name in parentheses, may contain anything.
        let (_, fields) = stat.rsplit_once(')')?;
        // Fields 14 and 15.
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        let computed = Duration::from_millis((ticks()? + ticks()?) * CLOCK_TICK_MS);
        Some(Self {
            computed,
            waited: None,
        })
    }
}

/// Returns for how long a thread was ready to run since the last look and had no processor: a
/// busy machine makes it slow, not stuck. If the kernel does not say, a thread that computed
/// had no processor for the rest of the time.
fn waited(before: Option<ThreadTimes>, now: Option<ThreadTimes>) -> Duration {
    let (Some(before), Some(now)) = (before, now) else {
        return Duration::ZERO;
    };
    if let (Some(before), Some(now)) = (before.waited, now.waited) {
        return now.saturating_sub(before);
    }
    let computed = now.computed.saturating_sub(before.computed);
    match computed {
        Duration::ZERO => Duration::ZERO,
        computed => TICK.saturating_sub(computed),
    }
}

#[cfg(test)]
mod generated;

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, channel};
    use std::task::{Context, Waker};
    use std::thread;
    use std::time::Duration;

    use super::{END_AFTER, Looks, TICK, ThreadTimes, hangs, waited};
    use crate::pulse::{
        Idle, Pulse, STALLED_AFTER, beat, idle, pulses, stalled, watch, watch_thread,
    };

    fn pulse_of(name: &str) -> Option<Arc<Pulse>> {
        pulses().into_iter().find(|pulse| pulse.name == name)
    }

    #[test]
    fn a_task_that_stands_still_is_reported_and_then_ends_the_process() {
        let mut context = Context::from_waker(Waker::noop());
        let mut brief = pin!(watch(
            "brief test",
            Idle::Brief,
            std::future::pending::<()>()
        ));
        let unlimited = watch(
            "unlimited test",
            Idle::Unlimited,
            std::future::pending::<()>(),
        );
        let mut unlimited = pin!(unlimited);
        let _ = brief.as_mut().poll(&mut context);
        let _ = unlimited.as_mut().poll(&mut context);
        let watched = ["brief test", "unlimited test"];
        let watched: Vec<_> = watched.into_iter().filter_map(pulse_of).collect();
        assert_eq!(watched.len(), 2);

        let mut looks = Looks::default();
        let reported = || stalled().iter().any(|one| one.name == "brief test");
        let ticks = |duration: Duration| duration.as_secs() / TICK.as_secs();
        for _ in 0..ticks(STALLED_AFTER) {
            assert_eq!(looks.look(&watched), None);
            assert!(!reported());
        }
        assert_eq!(looks.look(&watched), None);
        assert!(reported(), "the first look sees only where it stands");

        // It moves again.
        let _ = brief.as_mut().poll(&mut context);
        assert_eq!(looks.look(&watched), None);
        assert!(!reported());
        let mut found = None;
        for _ in 0..ticks(END_AFTER) {
            assert_eq!(found, None);
            found = looks.look(&watched);
        }
        let text = found.map(|found| found.to_string());
        assert_eq!(
            text.as_deref(),
            Some("the brief test has not moved for 28 s")
        );

        // A poll that does not end is a stall of any task.
        watched[1].is_polled.store(true, Ordering::Relaxed);
        let mut looks = Looks::default();
        let stuck = &watched[1..];
        // This thread may wait for a processor in between, which does not count.
        let ends = (0..2 * ticks(END_AFTER)).any(|_| looks.look(stuck).is_some());
        assert!(ends);
        // Unless the work has limits of its own.
        watched[1].is_bounded.store(true, Ordering::Relaxed);
        let mut looks = Looks::default();
        assert!((0..=ticks(END_AFTER)).all(|_| looks.look(stuck).is_none()));
    }

    #[test]
    fn a_thread_may_wait_for_work_and_not_hang_at_it() {
        const NAME: &str = "thread test";
        let (orders, received) = channel::<Receiver<()>>();
        let (sender, done) = channel();
        let thread = thread::spawn(move || {
            watch_thread(NAME, || {
                while let Ok(steps) = idle(|| received.recv()) {
                    // Each step hangs until it is allowed.
                    while steps.recv().is_ok() {
                        beat();
                        assert!(sender.send(()).is_ok());
                    }
                }
            });
        });
        let hangs = || pulse_of(NAME).is_some_and(|pulse| hangs(&pulse));
        let waits = || {
            let is_idle = |pulse: Arc<Pulse>| pulse.is_bounded.load(Ordering::Acquire);
            while !pulse_of(NAME).is_some_and(is_idle) {
                thread::yield_now();
            }
        };
        for _ in 0..2 {
            waits();
            assert!(!hangs(), "it waits for work");
            let (step, steps) = channel();
            assert!(orders.send(steps).is_ok() && step.send(()).is_ok());
            assert!(done.recv().is_ok());
            let beats = || pulse_of(NAME).map(|pulse| pulse.beats.load(Ordering::Relaxed));
            let before = beats();
            assert!(hangs(), "the second step does not end");
            assert!(step.send(()).is_ok() && done.recv().is_ok());
            assert!(beats() > before, "it goes on");
        }
        waits();
        drop(orders);
        assert!(thread.join().is_ok());
        // It is not watched after its end, but another test may just be looking at it.
        while pulse_of(NAME).is_some() {
            thread::yield_now();
        }
    }

    /// A loop that tries something over and over takes processor time, and hangs all the same.
    #[test]
    fn a_thread_that_computes_without_end_hangs() {
        const NAME: &str = "computing test";
        let ends = Arc::new(AtomicBool::new(false));
        let must_end = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            watch_thread(NAME, || while !must_end.load(Ordering::Relaxed) {});
        });
        let pulse = loop {
            if let Some(pulse) = pulse_of(NAME) {
                break pulse;
            }
            thread::yield_now();
        };
        let computed = || {
            let times = ThreadTimes::read(pulse.thread.load(Ordering::Relaxed));
            times.map(|times| times.computed)
        };
        let mut looks = Looks::default();
        let looked = std::slice::from_ref(&pulse);
        let step = Duration::from_millis(20);
        // A look may see less than a second, if the thread waited for a processor.
        let hangs = (0..2 * END_AFTER.as_secs()).any(|_| {
            let until = computed().map(|computed| computed + step);
            while computed().is_some_and(|computed| until.is_some_and(|until| computed < until)) {}
            looks.look(looked).is_some()
        });
        ends.store(true, Ordering::Relaxed);
        assert!(thread.join().is_ok());
        assert!(hangs);
    }

    #[test]
    fn a_task_that_computes_on_a_busy_machine_has_more_time() {
        let ms = Duration::from_millis;
        let times = |(computed, waited): (u64, Option<u64>)| ThreadTimes {
            computed: ms(computed),
            waited: waited.map(ms),
        };
        for (before, now, expected) in [
            (Some((500, Some(500))), Some((600, Some(1_400))), 900),
            // It waited for several looks until it got a processor.
            (Some((500, Some(500))), Some((600, Some(5_000))), 4_500),
            (Some((500, Some(500))), Some((600, Some(500))), 0),
            (Some((500, None)), Some((600, None)), 900),
            (Some((500, None)), Some((500, None)), 0),
            (Some((500, None)), Some((5_000, None)), 0),
            (None, Some((500, Some(500))), 0),
        ] {
            let waited = waited(before.map(times), now.map(times));
            assert_eq!(waited, ms(expected), "{before:?} {now:?}");
        }
    }
}
