//! Delivers the outcomes of jobs one after the other: an answer takes as much memory as
//! its code, and as much again while the code is loaded.

use std::sync::mpsc::{Receiver, Sender, channel};

use crate::compile::job::Callback;
use crate::compile::supervisor::SupervisorMessage;
use crate::error::{EngineError, LoadError};

/// The callback of a job, and its outcome.
pub(super) type Outcome = (Callback, Result<Vec<u8>, LoadError>);

/// Starts the delivering thread. It sends [`SupervisorMessage::Delivered`] after each outcome, and
/// ends when the returned sender is dropped.
pub(super) fn start(orders: Sender<SupervisorMessage>) -> Result<Sender<Outcome>, EngineError> {
    let (sender, outcomes) = channel();
    std::thread::Builder::new()
        .name("flyball-compiled".into())
        .spawn(move || deliver(&outcomes, &orders))
        .map_err(|error| {
            EngineError::Setup(format!(
                "cannot start the thread for compiled code: {error}"
            ))
        })?;
    Ok(sender)
}

fn deliver(outcomes: &Receiver<Outcome>, orders: &Sender<SupervisorMessage>) {
    for (done, outcome) in outcomes {
        done(outcome);
        // An error means that the supervisor has ended.
        let _ = orders.send(SupervisorMessage::Delivered);
    }
}
