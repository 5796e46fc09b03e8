//! The writes of a daemon, in their order, to the API server and to the cloud; traps, which
//! kill it at a chosen one; and faults of the cloud.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flyball_test_support::{Call, Fate};

use crate::support::{kill, wait_for};

/// What the cloud's calls begin with in the journal.
pub const CLOUD: &str = "CLOUD ";

/// All writes, without those of leases.
#[derive(Default)]
pub struct Journal {
    entries: Mutex<Vec<Entry>>,
    trap: Mutex<Option<Trap>>,
    fault: Mutex<Option<CloudFault>>,
}

/// A write that was carried out.
#[derive(Clone, Debug)]
pub struct Entry {
    /// METHOD PATH?QUERY BODY, or [`CLOUD`] and the form of the call.
    pub text: String,
    /// Whether its answer was a success.
    pub is_accepted: bool,
}

/// A process and the write at which it is killed.
#[derive(Clone, Debug)]
pub struct Trap {
    /// The write contains all these texts.
    pub texts: Vec<String>,
    /// It is the one of this number that is accepted (from 1).
    pub number: usize,
    /// Whether the write is carried out, and only its answer lost.
    pub is_carried_out: bool,
    /// Id of the process.
    pub victim: u32,
}

/// What goes wrong with calls of the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The answer is a status of 503.
    Unavailable,
    Throttled,
    /// The connection is closed before the call is carried out.
    Reset,
    /// The call is carried out, and the connection closed without an answer.
    Lost,
    /// The call is carried out after the client has given up.
    Late,
}

/// Calls that fail.
#[derive(Clone, Copy, Debug)]
pub struct CloudFault {
    /// Their action.
    pub action: &'static str,
    pub kind: FaultKind,
    /// How many of them fail. The client makes three attempts.
    pub left: usize,
}

/// Longer than an attempt of the client may take.
const LATE: Duration = Duration::from_secs(8);

impl Journal {
    /// Makes calls of the cloud fail. The journal begins anew.
    pub fn set_fault(&self, fault: CloudFault) {
        self.entries.lock().unwrap().clear();
        *self.fault.lock().unwrap() = Some(fault);
    }

    /// Forgets the fault. Returns how many calls were left that would have failed.
    pub fn end_fault(&self) -> usize {
        let fault = self.fault.lock().unwrap().take();
        fault.map_or(0, |fault| fault.left)
    }

    fn next_fault(&self, action: &str) -> Option<FaultKind> {
        let mut fault = self.fault.lock().unwrap();
        let fault = fault.as_mut().filter(|fault| fault.action == action)?;
        fault.left = fault.left.checked_sub(1)?;
        Some(fault.kind)
    }

    /// Sets a trap for the writes from now on. The journal begins anew.
    pub fn set_trap(&self, trap: Trap) {
        self.entries.lock().unwrap().clear();
        *self.trap.lock().unwrap() = Some(trap);
    }

    /// Whether a trap is set that no write has sprung.
    pub fn has_trap(&self) -> bool {
        self.trap.lock().unwrap().is_some()
    }

    /// Returns the writes that were carried out since the trap was set.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// Notes that a write has arrived. Returns whether it is carried out.
    pub fn arrives(&self, text: &str) -> bool {
        let mut trap = self.trap.lock().unwrap();
        let kills = trap
            .as_ref()
            .is_some_and(|trap| !trap.is_carried_out && trap.number == 1 && trap.is_about(text));
        if kills && let Some(trap) = trap.take() {
            kill(trap.victim);
        }
        !kills
    }

    /// Notes that a write was carried out. Returns whether it is answered.
    pub fn carried_out(&self, text: String, is_accepted: bool) -> bool {
        let mut trap = self.trap.lock().unwrap();
        let is_about = is_accepted && trap.as_ref().is_some_and(|trap| trap.is_about(&text));
        let mut entries = self.entries.lock().unwrap();
        entries.push(Entry { text, is_accepted });
        drop(entries);
        let Some(set) = trap.as_mut().filter(|_| is_about) else {
            return true;
        };
        if set.number > 1 {
            set.number -= 1;
            return true;
        }
        if !set.is_carried_out {
            return true;
        }
        kill(set.victim);
        *trap = None;
        false
    }

    /// Returns the fate of a call of the cloud.
    pub fn fate(self: &Arc<Self>, call: &Call<'_>) -> Fate {
        let action = call.field("Action").unwrap_or_default();
        if action.starts_with("Describe") {
            return Fate::Answered;
        }
        let text = format!("{CLOUD}{}", call.form);
        let fault = self.next_fault(action);
        match fault {
            Some(FaultKind::Unavailable) => {
                return Fate::Refused("ServiceUnavailable", "try again later");
            }
            Some(FaultKind::Throttled) => return Fate::Refused("Throttling", "Rate exceeded"),
            Some(FaultKind::Reset) => return Fate::Dropped,
            Some(FaultKind::Late) => std::thread::sleep(LATE),
            Some(FaultKind::Lost) | None => {}
        }
        if !self.arrives(&text) {
            return Fate::Dropped;
        }
        let journal = Arc::clone(self);
        Fate::Followed(Box::new(move |is_accepted| {
            journal.carried_out(text, is_accepted) && fault != Some(FaultKind::Lost)
        }))
    }

    /// Waits until the trap has killed its victim.
    #[track_caller]
    pub fn wait_for_the_kill(&self, at: &str) {
        let limit = Duration::from_secs(180);
        wait_for(&format!("the crash at: {at}"), limit, || !self.has_trap());
    }
}

impl Trap {
    fn is_about(&self, text: &str) -> bool {
        self.texts.iter().all(|part| text.contains(part))
    }
}
