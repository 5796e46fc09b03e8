//! Rollbacks: automatic ones of versions that are quarantined for all objects soon after
//! their activation, and manual ones. Refusals are stored in the private directory, so
//! that all processes that share it apply them, also after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use flyball_decision::policy::{Policy as _, PolicyVersion, RolledBack};
use flyball_decision::time::Timestamp;

use crate::digest::digest;
use crate::error::{LoadError, RollbackError};
use crate::registry::generation::Generation;
use crate::registry::last_good::{Entry, LastGood, Refused};
use crate::registry::reconcile::Shared;
use crate::registry::slot::Candidate;
use crate::registry::status::{PolicyEvent, PolicySource};
use crate::registry::users::Users;

impl Shared {
    /// Returns the objects that name a policy; empty if they are not known.
    pub fn users(&self, name: &str) -> Arc<Users> {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.get(name).cloned().unwrap_or_default()
    }

    /// Reports whether a version that was first asked at `began` is still new at `now`.
    pub fn is_within_window(&self, began: Option<Timestamp>, now: Timestamp) -> bool {
        began.is_none_or(|began| now.since(began) <= self.rollback_window_ms)
            && self.rollback_window_ms > 0
    }

    /// Activates the previous version in place of the active one, if the active one has
    /// this digest, and refuses its file until it changes. Returns false if there is no
    /// previous version.
    pub fn roll_back(&self, name: &str, digest: &str, reason: &str) -> bool {
        let mut slots = self.slots_mut();
        let Some(slot) = slots.get_mut(name) else {
            return false;
        };
        let active = slot.active.clone();
        let Some(active) = active.filter(|active| *active.version().digest == *digest) else {
            return false;
        };
        let mut line = active.predecessors();
        if line.is_empty() {
            return false;
        }
        let previous = line.remove(0);
        let from = Arc::clone(active.version());
        let source = match &previous.source {
            PolicySource::File(path) if !slot.has_accepted(&previous.version().digest) => {
                PolicySource::LastGood(path.clone())
            }
            source => source.clone(),
        };
        let generation = Generation::new(Arc::clone(&previous.policy), source, &self.me)
            .after(line)
            .in_place_of(RolledBack {
                from: Arc::clone(&from),
                reason: reason.to_owned(),
            });
        let version = Arc::clone(generation.version());
        // An installed policy has no file that could be refused.
        if active.source != PolicySource::Installed {
            slot.candidate = Candidate::Failed {
                error: LoadError::RolledBack(reason.to_owned()),
                digest: Some(digest.to_owned()),
            };
        }
        let replaced = slot.activate(generation);
        // The lock is released first: unmapping code takes a while.
        drop(slots);
        drop((replaced, active));
        self.publish(&PolicyEvent::RolledBack {
            from,
            version,
            reason: reason.to_owned(),
        });
        self.request_rescan();
        true
    }

    /// Makes the watching thread read the directory soon, if there is one: it stores what
    /// decisions have changed, outside of their path.
    fn request_rescan(&self) {
        if let Some(watch) = self.watch.get() {
            watch.changed(true);
        }
    }

    /// Rolls back versions that were refused manually or by another process: one with
    /// recorded inputs may refuse what one without them activated.
    pub fn follow_refusals(&self, found: &BTreeMap<String, Vec<PathBuf>>) {
        let Some(last_good) = &self.last_good else {
            return;
        };
        for (name, entry) in last_good.entries() {
            let refused = entry.refused;
            let Some(refused) = refused.filter(|refused| self.is_in_force(&name, refused)) else {
                continue;
            };
            let active = self.serving(&name);
            if active.is_none_or(|active| *active.digest != *refused.digest)
                || self.roll_back(&name, &refused.digest, &refused.reason)
            {
                continue;
            }
            // No previous version is in memory: use its copy.
            if let Some(path) = found.get(&name).and_then(|paths| paths.first()) {
                self.restore(&name, path);
            }
        }
    }

    /// Returns the stored refusal of a file's content.
    pub fn refused(&self, name: &str, digest: &str) -> Option<LoadError> {
        let entry = self.last_good.as_ref()?.entry(name)?;
        let is_it =
            |refused: &Refused| refused.digest == *digest && self.is_in_force(name, refused);
        let refused = entry.refused.filter(is_it)?;
        Some(match refused.rolled_back {
            true => LoadError::RolledBack(refused.reason),
            false => LoadError::RefusedBefore(refused.reason),
        })
    }

    /// Reports whether a stored refusal is in force. The operator may let a version take over
    /// that was refused because of recorded inputs, but not one that was rolled back.
    fn is_in_force(&self, name: &str, refused: &Refused) -> bool {
        refused.rolled_back || !self.accepts_any(name)
    }

    /// Deletes the stored refusal of content that was accepted nevertheless.
    pub fn lift_refusal(&self, name: &str, digest: &str) {
        let Some(last_good) = &self.last_good else {
            return;
        };
        let is_lifted =
            |refused: &Refused| refused.digest == *digest && !self.is_in_force(name, refused);
        let known = last_good.entry(name).and_then(|entry| entry.refused);
        if known.as_ref().is_some_and(is_lifted) {
            last_good.change(name, |entry| {
                entry.refused = entry.refused.take().filter(|refused| !is_lifted(refused));
            });
        }
    }

    /// Returns when the last good version was first asked.
    pub fn began(&self, name: &str, digest: &str) -> Option<Timestamp> {
        let entry = self.last_good.as_ref()?.entry(name)?;
        entry
            .began
            .filter(|_| entry.digest.as_deref() == Some(digest))
    }

    /// Returns the predecessors of a version that takes over, as far as they are in
    /// memory.
    pub fn predecessors(&self, version: &PolicyVersion) -> Vec<Arc<Generation>> {
        let name = &*version.name;
        let active = self.slots().get(name).and_then(|slot| slot.active.clone());
        match active {
            Some(active) if active.version().digest == version.digest => active.predecessors(),
            Some(active) => Generation::hand_down(&active),
            None => Vec::new(),
        }
    }

    /// Stores what must outlive a restart: files that were rolled back or refused because
    /// of recorded inputs, and when new versions were first asked.
    pub fn store_notes<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let Some(last_good) = &self.last_good else {
            return;
        };
        let mut known = last_good.entries();
        for name in names {
            let entry = known.remove(name).unwrap_or_default();
            if self.entry_to_store(name, entry.clone()) != entry {
                last_good.change(name, |entry| {
                    *entry = self.entry_to_store(name, entry.clone())
                });
            }
        }
    }

    fn entry_to_store(&self, name: &str, mut entry: Entry) -> Entry {
        let slots = self.slots();
        let Some(slot) = slots.get(name) else {
            return entry;
        };
        if let Candidate::Failed {
            error,
            digest: Some(digest),
        } = &slot.candidate
        {
            let rolled_back = matches!(error, LoadError::RolledBack(_));
            let by_records = matches!(error, LoadError::Recorded { .. });
            if rolled_back || by_records {
                let reason = match error {
                    LoadError::RolledBack(reason) => reason.clone(),
                    error => error.to_string(),
                };
                entry.refused = Some(Refused {
                    digest: digest.clone(),
                    reason,
                    rolled_back,
                });
            }
            // Another process may have activated what failed on recorded inputs here.
            let was_taken_up = by_records && entry.digest.as_ref() == Some(digest);
            if let Some(active) = &slot.active
                && (rolled_back || was_taken_up)
            {
                let digest = active.version().digest.to_string();
                let is_built_in = active.source == PolicySource::BuiltIn;
                entry.digest = (!is_built_in).then_some(digest);
                entry.previous = digests(&active.predecessors());
                entry.began = None;
            }
        } else if let Some(active) = &slot.active
            && entry.digest.as_deref() == Some(&*active.version().digest)
        {
            entry.began = entry.began.or(active.began());
        }
        entry
    }
}

/// Returns the digests of some versions.
pub(super) fn digests(versions: &[Arc<Generation>]) -> Vec<String> {
    let digests = versions.iter().map(|one| one.version().digest.to_string());
    digests.collect()
}

/// Returns the first digits of a digest, for display.
fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.get(..12).unwrap_or(hex)
}

/// Reports whether a directory of last good copies has a policy of that name.
pub fn has_last_good(directory: &Path, name: &str) -> bool {
    LastGood::peek(directory, name)
}

/// Result of [`roll_back_by_hand`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandRollback {
    /// Digest of the version that is refused from now on.
    pub refused: String,
    /// Digest of the version that decides again.
    pub restored: String,
    /// Whether that version is the built-in one.
    pub is_built_in: bool,
}

/// Rolls the last good version of a policy back by hand: records in the private directory
/// of last good copies that its file is refused until it changes. Running daemons that
/// watch the directory follow, later ones read it at the start. Only the user of these
/// daemons may write there.
///
/// # Errors
/// If the directory can't be used, or there is no previous version.
pub fn roll_back_by_hand(
    directory: &Path,
    name: &str,
    builtins: &[(&str, &[u8])],
) -> Result<HandRollback, RollbackError> {
    let last_good = LastGood::open(directory)?;
    let own = builtins.iter().filter(|(builtin, _)| *builtin == name);
    let own: BTreeSet<String> = own.map(|(_, bytes)| digest(bytes)).collect();
    let usable = |digest: &String| own.contains(digest) || last_good.copy(name, digest).is_some();
    let changed = last_good.try_change(name, |entry| {
        let Some(refused) = entry.digest.clone() else {
            return Err(match entry.refused {
                Some(_) => RollbackError::AlreadyRefused(name.to_owned()),
                None => RollbackError::NoFile(name.to_owned()),
            });
        };
        let mut previous = entry.previous.clone();
        previous.retain(usable);
        if previous.is_empty() {
            return Err(match entry.refused {
                Some(_) => RollbackError::AlreadyRefused(name.to_owned()),
                None => RollbackError::NoVersionBefore(name.to_owned()),
            });
        }
        let restored = previous.remove(0);
        let is_built_in = own.contains(&restored);
        *entry = Entry {
            digest: (!is_built_in).then(|| restored.clone()),
            previous,
            refused: Some(Refused {
                digest: refused.clone(),
                reason: format!("version {} was rolled back by hand", short(&refused)),
                rolled_back: true,
            }),
            began: None,
        };
        Ok(HandRollback {
            refused,
            restored,
            is_built_in,
        })
    });
    changed.map_err(|error| RollbackError::Unwritable {
        path: directory.to_owned(),
        reason: error.to_string(),
    })?
}
