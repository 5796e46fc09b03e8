//! Running compilations of policy files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::compile::CompileHandle;
use crate::error::LoadError;

/// Delay before the next attempt after the machine prevented a file's compilation. It
/// doubles with each failure in a row, up to `LAST_WAIT`.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LAST_WAIT: Duration = Duration::from_mins(10);

/// Running compilations, at most one for each name.
#[derive(Default)]
pub(super) struct Loads {
    by_name: BTreeMap<String, Load>,
    /// Compilations of last good copies, by name.
    restores: BTreeMap<String, Load>,
    /// Last good copies that cannot be compiled, by name and digest.
    unusable_copies: BTreeSet<(String, String)>,
    /// Files that wait for their next attempt, by name.
    put_off: BTreeMap<String, PutOff>,
    /// Number of loads begun so far.
    begun: u64,
}

/// A file that is being compiled.
pub(super) struct Load {
    pub path: PathBuf,
    pub digest: String,
    number: u64,
    /// Cancels the compilation when it is dropped.
    handle: Option<CompileHandle>,
}

/// A file that waits for its next attempt.
struct PutOff {
    digest: String,
    error: LoadError,
    wait: Duration,
    until: Instant,
}

impl Loads {
    /// Registers a file that is about to be compiled, in place of any other of that name,
    /// and returns the load's number. Returns `None` if the file is being compiled
    /// already.
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
            handle: None,
        }
    }

    /// Stores the handle of a load, which cancels it when it is no longer wanted.
    pub fn keep(&mut self, name: &str, number: u64, handle: Option<CompileHandle>) {
        let load = self.by_name.get_mut(name);
        if let Some(load) = load.filter(|load| load.number == number) {
            load.handle = handle;
        }
    }

    /// Removes and returns a load that has ended. Returns `None` if it was no longer
    /// wanted.
    pub fn end(&mut self, name: &str, number: u64) -> Option<Load> {
        let is_it = self.by_name.get(name)?.number == number;
        is_it.then(|| self.by_name.remove(name)).flatten()
    }

    /// Cancels the load of a name, if there is one.
    pub fn cancel(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Registers a last good copy that is about to be compiled.
    pub fn begin_restore(&mut self, name: &str, path: &Path, digest: &str) {
        let load = self.next(path, digest);
        self.restores.insert(name.to_owned(), load);
    }

    /// Reports whether the copy of this digest is being compiled for a name.
    pub fn is_restored_by(&self, name: &str, digest: &str) -> bool {
        let load = self.restores.get(name);
        load.is_some_and(|load| load.digest == digest)
    }

    /// Stores the handle of a copy's compilation.
    pub fn keep_restore(&mut self, name: &str, digest: &str, handle: Option<CompileHandle>) {
        let load = self.restores.get_mut(name);
        if let Some(load) = load.filter(|load| load.digest == digest) {
            load.handle = handle;
        }
    }

    /// Removes the compilation of a copy that has ended, and returns the path of its
    /// file. Returns `None` if it was no longer wanted.
    pub fn end_restore(&mut self, name: &str, digest: &str) -> Option<PathBuf> {
        let is_it = self.is_restored_by(name, digest);
        let load = is_it.then(|| self.restores.remove(name)).flatten()?;
        Some(load.path)
    }

    /// Records that a last good copy cannot be compiled.
    pub fn mark_unusable(&mut self, name: &str, digest: &str) {
        self.unusable_copies
            .insert((name.to_owned(), digest.to_owned()));
    }

    /// Reports whether a last good copy could not be compiled.
    pub fn is_unusable(&self, name: &str, digest: &str) -> bool {
        self.unusable_copies
            .contains(&(name.to_owned(), digest.to_owned()))
    }

    /// Records how the load of a file ended. If it failed because of the machine, not the
    /// file, the next attempt is delayed.
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

    /// Returns the error to report if the next attempt to compile this content is not due
    /// yet.
    pub fn put_off(&self, name: &str, digest: &str, now: Instant) -> Option<LoadError> {
        let put_off = self.put_off.get(name)?;
        (put_off.digest == digest && now < put_off.until).then(|| put_off.error.clone())
    }

    /// Cancels the load of a name whose file was removed, and deletes what was recorded
    /// for it.
    pub fn forget(&mut self, name: &str) {
        self.cancel(name);
        self.restores.remove(name);
        self.put_off.remove(name);
    }

    /// Reports whether nothing is being compiled.
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
        // Failures that the bytes cause are final and not delayed.
        let ended = LoadError::CompilerEnded("signal: 6".into());
        loads.note("web", "one", Some(&ended), now);
        assert_eq!(loads.put_off("web", "one", now), None);
        loads.note("web", "one", Some(&killed), now);
        loads.forget("web");
        assert_eq!(loads.put_off("web", "one", now), None);
    }
}
