//! How tasks and threads of the process are watched.
//!
//! - A panic on input from outside is caught where the input is taken ([`catch_panic`],
//!   [`CatchPanic`]). Any other panic ends the process ([`end_on_panic`]), which would
//!   otherwise go on without one of its tasks.
//! - A task that must keep moving has a pulse ([`watch`]), and so has a thread
//!   ([`watch_thread`]). [`stalled`] names those that stand still, and [`start_watchdog`]
//!   ends the process if one does so for too long.
//!
//! Pulses and the hook for panics belong to the process, so they are global.

mod panics;
mod pulse;
mod watchdog;

pub use panics::{CatchPanic, catch_panic, end_on_panic};
pub use pulse::{
    Idle, STALLED_AFTER, Stalled, Watched, beat, beats, bounded, idle, stalled, watch, watch_thread,
};
pub use watchdog::{hanging, start_watchdog};
