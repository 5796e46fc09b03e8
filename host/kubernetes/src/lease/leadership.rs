//! Whether this process is leader.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Whether this process is leader.
///
/// It is judged by the time until which the lease is valid, not by a message that the lease
/// has expired: a process that was stopped for a while finds out with its first look.
#[derive(Clone, Debug)]
pub struct Leadership(Leader);

#[derive(Clone, Debug)]
enum Leader {
    /// There is no election.
    Sole,
    /// The time until which this process is leader. `None` if it is not.
    Elected(watch::Receiver<Option<Instant>>),
}

/// The election has ended, so that this process can't become leader.
#[derive(Debug, thiserror::Error)]
#[error("the election of a leader ended")]
pub struct ElectionEnded;

impl Leadership {
    /// Leadership of a process that runs alone.
    #[must_use]
    pub fn sole() -> Self {
        Self(Leader::Sole)
    }

    /// Leadership until the time that the channel has. `None` means that another process
    /// is leader.
    #[must_use]
    pub fn until(until: watch::Receiver<Option<Instant>>) -> Self {
        Self(Leader::Elected(until))
    }

    /// Reports whether this process is leader at this moment.
    #[must_use]
    pub fn leads(&self) -> bool {
        match &self.0 {
            Leader::Sole => true,
            Leader::Elected(until) => is_before(*until.borrow()),
        }
    }

    /// Waits until this process is leader.
    ///
    /// # Errors
    /// If the election ends first.
    pub async fn won(&mut self) -> Result<(), ElectionEnded> {
        match &mut self.0 {
            Leader::Sole => Ok(()),
            Leader::Elected(until) => {
                let won = until.wait_for(|until| is_before(*until)).await;
                won.map(drop).map_err(|_| ElectionEnded)
            }
        }
    }

    /// Waits until this process is not leader. Leadership without an election is never
    /// lost.
    pub async fn lost(&mut self) {
        let Leader::Elected(until) = &mut self.0 else {
            return std::future::pending().await;
        };
        loop {
            let now = *until.borrow_and_update();
            let Some(end) = now.filter(|_| is_before(now)) else {
                return;
            };
            tokio::select! {
                changed = until.changed() => {
                    // The lease expires without the election.
                    if changed.is_err() {
                        return;
                    }
                }
                () = sleep_until(end) => {}
            }
        }
    }
}

fn is_before(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() < until)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;
    use tokio::time::{Instant, timeout};

    use super::Leadership;

    #[tokio::test]
    async fn a_lease_is_lost_when_its_time_is_over_even_if_nobody_says_so() {
        let length = Duration::from_millis(20);
        let (sender, until) = watch::channel(Some(Instant::now() + length));
        let mut leadership = Leadership::until(until);
        assert!(leadership.leads());
        // Like a process that is stopped: no other task runs meanwhile.
        std::thread::sleep(2 * length);
        assert!(!leadership.leads());
        leadership.lost().await;

        sender.send_replace(Some(Instant::now() + 2 * length));
        assert!(leadership.won().await.is_ok());
        sender.send_replace(Some(Instant::now() + 4 * length));
        leadership.lost().await;
        assert!(!leadership.leads());

        drop(sender);
        assert!(leadership.won().await.is_err());
        leadership.lost().await;
        let mut sole = Leadership::sole();
        assert!(sole.leads() && sole.won().await.is_ok());
        assert!(timeout(length, sole.lost()).await.is_err());
    }
}
