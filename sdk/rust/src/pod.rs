//! A pod of the target: a view over the columns.

use crate::bindings::replica::exports::flyball::policy::replica as wire;
use crate::time::Time;

/// Bits of a pod's state column.
pub(crate) mod bits {
    pub const PENDING: u32 = 1;
    pub const RUNNING: u32 = 2;
    pub const SUCCEEDED: u32 = 4;
    pub const FAILED: u32 = 8;
    pub const READY: u32 = 16;
    pub const NOT_READY: u32 = 32;
    pub const READY_UNKNOWN: u32 = 64;
}

/// A pod that the target's selector matches. It has no name, but a row: `{pod:N}`
/// in a sentence stands for the name of the pod in row N.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    columns: &'a wire::Pods,
    row: usize,
}

/// Phase of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers run yet.
    Pending,
    /// Running.
    Running,
    /// All containers ended well.
    Succeeded,
    /// A container ended badly.
    Failed,
    /// None of the others.
    Unknown,
}

/// Status of a pod's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Ready.
    True,
    /// Not ready.
    False,
    /// The kubelet is silent.
    Unknown,
}

impl<'a> Pod<'a> {
    /// The bits of a pod that is Running and Ready in the column
    /// [`Pods::state`](wire::Pods::state).
    pub const READY: u32 = bits::RUNNING | bits::READY;

    pub(crate) const fn new(columns: &'a wire::Pods, row: usize) -> Self {
        Self { columns, row }
    }

    /// Its row, by which samples and requests name it.
    #[must_use]
    pub const fn row(&self) -> usize {
        self.row
    }

    /// Its phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let state = self.state();
        match () {
            () if state & bits::RUNNING != 0 => Phase::Running,
            () if state & bits::PENDING != 0 => Phase::Pending,
            () if state & bits::SUCCEEDED != 0 => Phase::Succeeded,
            () if state & bits::FAILED != 0 => Phase::Failed,
            () => Phase::Unknown,
        }
    }

    /// Its Ready condition, if it has one.
    #[must_use]
    pub fn ready(&self) -> Option<Ready> {
        let state = self.state();
        match () {
            () if state & bits::READY != 0 => Some(Ready::True),
            () if state & bits::NOT_READY != 0 => Some(Ready::False),
            () if state & bits::READY_UNKNOWN != 0 => Some(Ready::Unknown),
            () => None,
        }
    }

    /// Whether it is Running and Ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state() & Self::READY == Self::READY
    }

    /// When its Ready condition last changed.
    #[must_use]
    pub fn ready_since(&self) -> Option<Time> {
        at(&self.columns.ready_transition_ms, self.row)
    }

    /// When it started.
    #[must_use]
    pub fn started(&self) -> Option<Time> {
        at(&self.columns.start_ms, self.row)
    }

    /// By when it is to be gone, if it is being deleted.
    #[must_use]
    pub fn deleted(&self) -> Option<Time> {
        at(&self.columns.deletion_ms, self.row)
    }

    fn state(&self) -> u32 {
        self.columns
            .state
            .get(self.row)
            .copied()
            .unwrap_or_default()
    }
}

fn at(column: &[i64], row: usize) -> Option<Time> {
    column.get(row).and_then(|&ms| Time::from_column(ms))
}
