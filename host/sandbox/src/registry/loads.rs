//! Files that are being compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::compile::Ticket;
use crate::error::LoadError;

/// How long a file waits for its next try after the machine kept it from being compiled,
/// at first; each time in a row twice as long, up to the last.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LAST_WAIT: Duration = Duration::from_mins(10);

/// The file of each name that is being compiled, one at most.
#[derive(Default)]
pub(super) struct Loads {
    by_name: BTreeMap<String, Load>,
    /// The last good copy of each name that is being compiled.
    restores: BTreeMap<String, Load>,
    /// Last good copies that cannot be compiled, by name and digest.
    lost: BTreeSet<(String, String)>,
    /// Files that wait for their next try, by name.
    put_off: BTreeMap<String, PutOff>,
    /// Loads so far.
    begun: u64,
}

/// A file that is being compiled.
pub(super) struct Load {
    pub path: PathBuf,
    pub digest: String,
    number: u64,
    /// Ends the compilation when it is dropped.
    ticket: Option<Ticket>,
}

/// A file that waits for its next try.
struct PutOff {
    digest: String,
    error: LoadError,
    wait: Duration,
    until: Instant,
}

impl Loads {
    /// Notes that a file is about to be compiled, in place of any other of that name, and
    /// returns the load's number; `None` if it is being compiled already.
    pub fn begin(&mut self, name: &str, path: &Path, digest: &str) -> Option<u64> {
        let same = |load: &Load| load.path == path && load.digest == digest;
        if self.by_name.get(name).is_some_and(same) {
            return None;
        }
        let load = self.next(path, digest);
        self.by_name.insert(name.to_owned(), load);
        Some(self.begun)
    }

    fn next(&mut self, path: &Path, digest: &str) -> Load {
        self.begun += 1;
        Load {
            path: path.to_owned(),
            digest: digest.to_owned(),
            number: self.begun,
            ticket: None,
        }
    }

    /// Keeps what ends a load when it is no longer wanted.
    pub fn keep(&mut self, name: &str, number: u64, ticket: Option<Ticket>) {
        let load = self.by_name.get_mut(name);
        if let Some(load) = load.filter(|load| load.number == number) {
            load.ticket = ticket;
        }
    }

    /// Takes a load that has ended; `None` if it was no longer wanted.
    pub fn end(&mut self, name: &str, number: u64) -> Option<Load> {
        let is_it = self.by_name.get(name)?.number == number;
        is_it.then(|| self.by_name.remove(name)).flatten()
    }

    /// Ends the load of a name, if there is one.
    pub fn cancel(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Notes that a name's last good copy is about to be compiled.
    pub fn begin_restore(&mut self, name: &str, path: &Path, digest: &str) {
        let load = self.next(path, digest);
        self.restores.insert(name.to_owned(), load);
    }

    /// Whether the copy of this digest is being compiled for a name.
    pub fn is_restored_by(&self, name: &str, digest: &str) -> bool {
        let load = self.restores.get(name);
        load.is_some_and(|load| load.digest == digest)
    }

    /// Keeps what ends the compilation of a copy when it is no longer wanted.
    pub fn keep_restore(&mut self, name: &str, digest: &str, ticket: Option<Ticket>) {
        let load = self.restores.get_mut(name);
        if let Some(load) = load.filter(|load| load.digest == digest) {
            load.ticket = ticket;
        }
    }

    /// Takes the compilation of a copy that has ended, and returns the path of its file;
    /// `None` if it was no longer wanted.
    pub fn end_restore(&mut self, name: &str, digest: &str) -> Option<PathBuf> {
        let is_it = self.is_restored_by(name, digest);
        let load = is_it.then(|| self.restores.remove(name)).flatten()?;
        Some(load.path)
    }

    /// Notes that a last good copy cannot be compiled.
    pub fn lose(&mut self, name: &str, digest: &str) {
        self.lost.insert((name.to_owned(), digest.to_owned()));
    }

    /// Whether a last good copy could not be compiled.
    pub fn is_lost(&self, name: &str, digest: &str) -> bool {
        self.lost.contains(&(name.to_owned(), digest.to_owned()))
    }

    /// Notes how the load of a file ended. A load that failed because of the machine, not
    /// the file, is put off.
    pub fn note(&mut self, name: &str, digest: &str, error: Option<&LoadError>, now: Instant) {
        let before = self.put_off.remove(name);
        let Some(error) = error.filter(|error| error.lacked_a_compiler()) else {
            return;
        };
        let before = before.filter(|before| before.digest == digest);
        let wait = before.map_or(FIRST_WAIT, |before| (before.wait * 2).min(LAST_WAIT));
        let put_off = PutOff {
            digest: digest.to_owned(),
            error: error.clone(),
            wait,
            until: now + wait,
        };
        self.put_off.insert(name.to_owned(), put_off);
    }

    /// Why a file with this content is not compiled now.
    pub fn put_off(&self, name: &str, digest: &str, now: Instant) -> Option<LoadError> {
        let put_off = self.put_off.get(name)?;
        (put_off.digest == digest && now < put_off.until).then(|| put_off.error.clone())
    }

    /// Ends the load of a name whose file is gone, and forgets what was noted of it.
    pub fn forget(&mut self, name: &str) {
        self.cancel(name);
        self.restores.remove(name);
        self.put_off.remove(name);
    }

    /// Whether nothing is being compiled.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.restores.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Loads;
    use crate::error::LoadError;

    #[test]
    fn a_file_that_the_machine_kept_from_being_compiled_waits_longer_and_longer() {
        let (mut loads, mut now) = (Loads::default(), Instant::now());
        let killed = LoadError::CompilerKilled;
        for seconds in [30, 60, 120, 240, 480, 600, 600] {
            loads.note("web", "one", Some(&killed), now);
            let wait = Duration::from_secs(seconds);
            let just_before = now
                + wait
                    .checked_sub(Duration::from_millis(1))
                    .unwrap_or_default();
            assert_eq!(
                loads.put_off("web", "one", just_before),
                Some(killed.clone())
            );
            assert_eq!(loads.put_off("web", "other", now), None, "a changed file");
            now += wait;
            assert_eq!(loads.put_off("web", "one", now), None);
        }
        // What the bytes are to blame for is not put off: it is final.
        let ended = LoadError::CompilerEnded("signal: 6".into());
        loads.note("web", "one", Some(&ended), now);
        assert_eq!(loads.put_off("web", "one", now), None);
        loads.note("web", "one", Some(&killed), now);
        loads.forget("web");
        assert_eq!(loads.put_off("web", "one", now), None);
    }
}
