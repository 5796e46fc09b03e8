//! Clocks of the loops: the wall's, and one in which a scenario's time passes at
//! a pace.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flyball_core::ports::Clock;
use flyball_core::time::Timestamp;
use flyball_simulation::time::ClockMap;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// The right to go on: until someone stops the process, or its work is done.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// Stops what holds the [`Stop`] that it came with.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stop {
    /// A stop, and what brings it about.
    pub fn new() -> (Stopper, Self) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(sender), Self(receiver))
    }

    /// Whether to stop.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the stop.
    pub async fn stopped(mut self) {
        // An error means that the stopper is gone, which ends the work as well.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }

    /// Waits; false: stopped meanwhile.
    async fn sleep_until(&self, at: Instant) -> bool {
        tokio::select! {
            () = tokio::time::sleep_until(at) => !self.is_stopped(),
            () = self.clone().stopped() => false,
        }
    }
}

impl Stopper {
    /// Stops.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// The time on the wall.
pub struct WallClock {
    stop: Stop,
    /// What ends a wait early.
    changes: Mutex<watch::Receiver<u64>>,
}

impl WallClock {
    /// A clock that has time until the stop. Who waits is woken when `changes`
    /// changes, so that news need not wait for the next sync.
    pub fn new(stop: Stop, changes: watch::Receiver<u64>) -> Self {
        Self {
            stop,
            changes: Mutex::new(changes),
        }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    async fn sleep_until(&self, at: Timestamp) -> bool {
        let ms = u64::try_from(at.since(self.now())).unwrap_or(0);
        let wake = Instant::now() + Duration::from_millis(ms.min(LONGEST_SLEEP_MS));
        let mut changes = self.changes.lock().await;
        tokio::select! {
            should_continue = self.stop.sleep_until(wake) => should_continue,
            // Without a sender nothing wakes any more; the stop still does.
            Ok(()) = changes.changed() => !self.stop.is_stopped(),
        }
    }

    fn should_continue(&self) -> bool {
        !self.stop.is_stopped()
    }
}

/// The clock on the wall may be set; waiting a minute at most notices it.
const LONGEST_SLEEP_MS: u64 = 60_000;

/// A scenario's time. It stands still while something is done and moves on when
/// the loop waits, so that a slow machine shows the same decisions, later.
pub struct PacedClock<F> {
    map: ClockMap,
    end: Timestamp,
    now: AtomicI64,
    started: Instant,
    stop: Stop,
    on_move: F,
}

impl<F: Fn(Timestamp) -> bool + Send + Sync> PacedClock<F> {
    /// Creates a clock that starts now at `start` and runs until `end` or the stop. It
    /// calls `on_move` with every point in time that it reaches; `false` stops it.
    pub fn new(start: Timestamp, end: Timestamp, map: ClockMap, stop: Stop, on_move: F) -> Self {
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
        // What lies further ahead than an instant can count never comes.
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

    use flyball_core::ports::Clock as _;
    use flyball_core::time::Timestamp;
    use flyball_simulation::time::ClockMap;

    use super::{PacedClock, Stop};

    fn clock(end: i64, speed: f64, stop: Stop) -> PacedClock<impl Fn(Timestamp) -> bool> {
        let start = Timestamp(1_000);
        let map = ClockMap::new(start, speed).unwrap();
        PacedClock::new(start, Timestamp(end), map, stop, |_| true)
    }

    #[tokio::test]
    async fn a_scenarios_time_moves_only_while_waiting_and_ends() {
        let (_stopper, stop) = Stop::new();
        let clock = clock(61_000, 1e6, stop);
        assert_eq!(clock.now(), Timestamp(1_000));
        assert!(clock.sleep_until(Timestamp(16_000)).await);
        assert_eq!(clock.now(), Timestamp(16_000));
        // As in virtual time: what is due at the end is still done.
        assert!(clock.sleep_until(Timestamp(61_000)).await);
        assert!(!clock.sleep_until(Timestamp(90_000)).await);
        assert_eq!(clock.now(), Timestamp(61_000));
    }

    #[tokio::test]
    async fn a_stop_ends_the_waiting() {
        let (stopper, stop) = Stop::new();
        let clock = clock(i64::MAX, 1.0, stop);
        let (went_on, ()) = tokio::join!(clock.sleep_until(Timestamp(3_600_000)), async {
            stopper.stop()
        });
        assert!(!went_on);
        assert!(!clock.should_continue(), "nothing is decided after a stop");
    }
}
