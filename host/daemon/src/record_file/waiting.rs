//! Size of the records that wait for the disk.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use flyball_decision::ring::RingRecord;
use flyball_report::record::Record;

/// Maximum size of all records that wait.
const MAX_BYTES: usize = 64 << 20;

/// The size of all records that wait, which is limited. A single record may be larger.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    bytes: Mutex<usize>,
    removed: Condvar,
}

impl Waiting {
    /// Adds a record, unless there is no room for it.
    pub fn try_to_add(&self, bytes: usize) -> bool {
        let mut waiting = self.bytes();
        let fits = fits(*waiting, bytes);
        if fits {
            *waiting += bytes;
        }
        fits
    }

    /// Adds a record when there is room for it.
    pub fn wait_and_add(&self, bytes: usize) {
        let waiting = self.bytes();
        let waiting = self
            .removed
            .wait_while(waiting, |waiting| !fits(*waiting, bytes));
        *waiting.unwrap_or_else(PoisonError::into_inner) += bytes;
    }

    /// Removes a record that was written.
    pub fn remove(&self, bytes: usize) {
        let mut waiting = self.bytes();
        *waiting = waiting.saturating_sub(bytes);
        self.removed.notify_all();
    }

    fn bytes(&self) -> MutexGuard<'_, usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fits(waiting: usize, bytes: usize) -> bool {
    waiting == 0 || waiting.saturating_add(bytes) <= MAX_BYTES
}

/// Returns the size of a record in memory, with the parts that it shares with others.
pub(super) fn bytes(record: &Record) -> usize {
    fn of(record: &impl RingRecord) -> usize {
        let mut bytes = record.own_bytes();
        record.each_shared(|_, shared| bytes += shared());
        bytes
    }
    match record {
        Record::Replicas(record) => of(&**record),
        Record::Nodes(record) => of(&**record),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, Waiting};

    #[test]
    fn the_size_of_what_waits_is_limited() {
        let waiting = Waiting::default();
        assert!(waiting.try_to_add(2 * MAX_BYTES), "one may be larger");
        assert!(!waiting.try_to_add(1));
        waiting.remove(2 * MAX_BYTES);
        waiting.wait_and_add(MAX_BYTES - 1);
        assert!(waiting.try_to_add(1));
        assert!(!waiting.try_to_add(1));
        std::thread::scope(|scope| {
            scope.spawn(|| waiting.wait_and_add(7));
            waiting.remove(MAX_BYTES);
        });
        assert!(!waiting.try_to_add(MAX_BYTES));
    }
}
