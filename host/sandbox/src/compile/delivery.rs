//! Delivers the outcomes of jobs one after the other: an answer takes as much memory as
//! its code, and as much again while the code is loaded.

use std::sync::mpsc::{Receiver, Sender, channel};

use flyball_tasks::{idle, watch_thread};

use crate::compile::job::Callback;
use crate::compile::supervisor::SupervisorMessage;
use crate::error::{EngineError, LoadError};

/// The callback of a job, and its outcome.
pub(super) type Outcome = (Callback, Result<Vec<u8>, LoadError>);

/// Name of the thread in reports of a stall.
const NAME: &str = "delivery of compiled code";

/// Starts the delivering thread. It sends [`SupervisorMessage::Delivered`] after each outcome, and
/// ends when the returned sender is dropped.
pub(super) fn start(orders: Sender<SupervisorMessage>) -> Result<Sender<Outcome>, EngineError> {
    let (sender, outcomes) = channel();
    std::thread::Builder::new()
        .name("flyball-compiled".into())
        .spawn(move || watch_thread(NAME, || deliver(&outcomes, &orders)))
        .map_err(|error| {
            EngineError::Setup(format!(
                "cannot start the thread for compiled code: {error}"
            ))
        })?;
    Ok(sender)
}

fn deliver(outcomes: &Receiver<Outcome>, orders: &Sender<SupervisorMessage>) {
    while let Ok((done, outcome)) = idle(|| outcomes.recv()) {
        done(outcome);
        // An error means that the supervisor has ended.
        let _ = orders.send(SupervisorMessage::Delivered);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::mpsc::channel;

    use flyball_tasks::hanging;

    use super::{NAME, start};
    use crate::compile::job::Callback;
    use crate::compile::supervisor::SupervisorMessage;
    use crate::error::LoadError;

    #[test]
    fn a_delivery_that_hangs_is_noticed() {
        let (orders, delivered) = channel();
        let outcomes = start(orders).unwrap();
        let (begins, begun) = channel();
        let (end, ended) = channel::<()>();
        let hang: Callback = Box::new(move |_| {
            begins.send(()).unwrap();
            // Until the sender is dropped.
            assert!(ended.recv().is_err());
        });
        assert!(outcomes.send((hang, Err(LoadError::NotWasm))).is_ok());
        begun.recv().unwrap();
        assert!(hanging().contains(&NAME));
        drop(end);
        assert!(matches!(delivered.recv(), Ok(SupervisorMessage::Delivered)));
    }
}
