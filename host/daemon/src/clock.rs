//! Clocks of the loops: the wall clock, and a paced clock for a scenario's time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;
use flyball_simulation::time::{ClockMap, Millis};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, interval};

/// Receiver of the signal to stop: the process is ending, or its work is done.
#[derive(Clone, Debug)]
pub struct StopSignal(watch::Receiver<bool>);

/// Sender of the signal to stop, for the [`StopSignal`] it was created with.
#[derive(Clone, Debug)]
pub struct StopTrigger(watch::Sender<bool>);

impl StopSignal {
    /// Creates a connected pair.
    pub fn new() -> (StopTrigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (StopTrigger(sender), Self(receiver))
    }

    /// Reports whether the signal was sent.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the signal.
    pub async fn stopped(mut self) {
        // An error means that the trigger was dropped, which ends the work as well.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }

    /// Waits for this long. Returns false if the signal came first.
    pub async fn sleep(&self, length: Duration) -> bool {
        self.sleep_until(Instant::now() + length).await
    }

    /// Waits until `at`. Returns false if the signal came first.
    async fn sleep_until(&self, at: Instant) -> bool {
        tokio::select! {
            () = tokio::time::sleep_until(at) => !self.is_stopped(),
            () = self.clone().stopped() => false,
        }
    }
}

impl StopTrigger {
    /// Sends the signal.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// The wall clock.
pub struct WallClock {
    stop: StopSignal,
    /// Added to the system's time.
    offset_ms: i64,
    /// Wakes a wait early.
    changes: Mutex<watch::Receiver<u64>>,
}

impl WallClock {
    /// Creates a clock that runs until the stop. A wait ends early when `changes`
    /// changes, so that the loop need not wait for the next sync. `offset` is added to the
    /// system's time.
    pub fn new(stop: StopSignal, offset: Millis, changes: watch::Receiver<u64>) -> Self {
        Self {
            stop,
            offset_ms: offset.0,
            changes: Mutex::new(changes),
        }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Timestamp(now).plus(self.offset_ms)
    }

    async fn sleep_until(&self, at: Timestamp) -> bool {
        let ms = u64::try_from(at.since(self.now())).unwrap_or(0);
        let wake = Instant::now() + Duration::from_millis(ms.min(LONGEST_SLEEP_MS));
        let mut changes = self.changes.lock().await;
        let mut pulse = interval(PULSE);
        loop {
            tokio::select! {
                should_continue = self.stop.sleep_until(wake) => return should_continue,
                // Without a sender nothing wakes the wait any more, except for the stop.
                Ok(()) = changes.changed() => return !self.stop.is_stopped(),
                _ = pulse.tick() => {}
            }
        }
    }

    fn should_continue(&self) -> bool {
        !self.stop.is_stopped()
    }
}

/// Maximum length of one wait, so that a change of the system's time is noticed within a
/// minute.
const LONGEST_SLEEP_MS: u64 = 60_000;

/// Interval at which a waiting loop is polled, which shows that it is not stuck.
const PULSE: Duration = Duration::from_secs(5);

/// A clock in a scenario's time. It stands still while the loop works and advances while
/// the loop waits, so that a slow machine makes the same decisions, only later.
pub struct PacedClock<F> {
    map: ClockMap,
    end: Timestamp,
    now: AtomicI64,
    started: Instant,
    stop: StopSignal,
    on_move: F,
}

impl<F: Fn(Timestamp) -> bool + Send + Sync> PacedClock<F> {
    /// Creates a clock that starts now at `start` and runs until `end` or the stop. It
    /// calls `on_move` with every point in time that it reaches; `false` stops it.
    pub fn new(
        start: Timestamp,
        end: Timestamp,
        map: ClockMap,
        stop: StopSignal,
        on_move: F,
    ) -> Self {
        Self {
            map,
            end,
            now: AtomicI64::new(start.0),
            started: Instant::now(),
            stop,
            on_move,
        }
    }
}

impl<F: Fn(Timestamp) -> bool + Send + Sync> Clock for PacedClock<F> {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Acquire))
    }

    async fn sleep_until(&self, at: Timestamp) -> bool {
        let next = at.max(self.now()).min(self.end);
        // A time that is too far ahead for an `Instant` never comes.
        let wake = self.started.checked_add(self.map.real_time(next));
        let on_time = match wake {
            Some(wake) => self.stop.sleep_until(wake).await,
            None => {
                self.stop.clone().stopped().await;
                false
            }
        };
        if !on_time {
            return false;
        }
        self.now.store(next.0, Ordering::Release);
        (self.on_move)(next) && at <= self.end
    }

    fn should_continue(&self) -> bool {
        !self.stop.is_stopped()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use flyball_decision::ports::Clock as _;
    use flyball_decision::time::Timestamp;
    use flyball_simulation::time::ClockMap;

    use super::{PacedClock, StopSignal};

    fn clock(end: i64, speed: f64, stop: StopSignal) -> PacedClock<impl Fn(Timestamp) -> bool> {
        let start = Timestamp(1_000);
        let map = ClockMap::new(start, speed).unwrap();
        PacedClock::new(start, Timestamp(end), map, stop, |_| true)
    }

    #[tokio::test]
    async fn a_scenarios_time_moves_only_while_waiting_and_ends() {
        let (_stopper, stop) = StopSignal::new();
        let clock = clock(61_000, 1e6, stop);
        assert_eq!(clock.now(), Timestamp(1_000));
        assert!(clock.sleep_until(Timestamp(16_000)).await);
        assert_eq!(clock.now(), Timestamp(16_000));
        // As in virtual time, what is due at the end is still done.
        assert!(clock.sleep_until(Timestamp(61_000)).await);
        assert!(!clock.sleep_until(Timestamp(90_000)).await);
        assert_eq!(clock.now(), Timestamp(61_000));
    }

    #[tokio::test]
    async fn a_stop_ends_the_waiting() {
        let (stop_trigger, stop) = StopSignal::new();
        let clock = clock(i64::MAX, 1.0, stop);
        let (went_on, ()) = tokio::join!(clock.sleep_until(Timestamp(3_600_000)), async {
            stop_trigger.stop()
        });
        assert!(!went_on);
        assert!(!clock.should_continue(), "nothing is decided after a stop");
    }
}
