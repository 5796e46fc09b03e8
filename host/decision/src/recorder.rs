//! Recorders, which take the records of decisions.

use std::sync::Arc;

use crate::key::ObjectKey;

/// Takes the records of one kind of decision: a ring, a file, a report, a terminal, the
/// log.
pub trait Recorder<R>: Send + Sync {
    /// Takes a record.
    fn record(&self, record: &Arc<R>);

    /// Drops what is held for the next record of an object that is gone.
    fn forget(&self, _object: &ObjectKey) {}
}
