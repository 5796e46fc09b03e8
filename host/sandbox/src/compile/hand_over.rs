//! Hands over the outcomes of jobs, one after the other: an answer takes as much memory
//! as its code, and as much again while the code is loaded.

use std::sync::mpsc::{Receiver, Sender, channel};

use crate::compile::job::Done;
use crate::compile::supervisor::Order;
use crate::error::{EngineError, LoadError};

/// The outcome of a job, and the callback that takes it.
pub(super) type Outcome = (Done, Result<Vec<u8>, LoadError>);

/// Starts the thread that hands over. It sends [`Order::HandedOver`] after each outcome,
/// and ends when the returned sender is dropped.
pub(super) fn start(orders: Sender<Order>) -> Result<Sender<Outcome>, EngineError> {
    let (sender, outcomes) = channel();
    std::thread::Builder::new()
        .name("flyball-compiled".into())
        .spawn(move || hand_over(&outcomes, &orders))
        .map_err(|error| {
            EngineError::Setup(format!(
                "cannot start the thread for compiled code: {error}"
            ))
        })?;
    Ok(sender)
}

fn hand_over(outcomes: &Receiver<Outcome>, orders: &Sender<Order>) {
    for (done, outcome) in outcomes {
        done(outcome);
        // An error means that the supervisor has ended.
        let _ = orders.send(Order::HandedOver);
    }
}
