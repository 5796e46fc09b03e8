//! Files that are being compiled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::compile::Ticket;

/// The file of each name that is being compiled, one at most.
#[derive(Default)]
pub(super) struct Loads {
    by_name: BTreeMap<String, Load>,
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

impl Loads {
    /// Notes that a file is about to be compiled, in place of any other of that name, and
    /// returns the load's number; `None` if it is being compiled already.
    pub fn begin(&mut self, name: &str, path: &Path, digest: &str) -> Option<u64> {
        let same = |load: &Load| load.path == path && load.digest == digest;
        if self.by_name.get(name).is_some_and(same) {
            return None;
        }
        self.begun += 1;
        let load = Load {
            path: path.to_owned(),
            digest: digest.to_owned(),
            number: self.begun,
            ticket: None,
        };
        self.by_name.insert(name.to_owned(), load);
        Some(self.begun)
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

    /// Whether nothing is being compiled.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}
