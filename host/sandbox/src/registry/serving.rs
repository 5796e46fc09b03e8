//! Fallbacks of a name when its file can't decide: the last good copy, earlier versions,
//! and the built-in policy. Copies that have to be compiled are activated when that is
//! done, so that files of other names need not wait for them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use flyball_decision::policy::{Policy as _, PolicyVersion};

use crate::code::Artifact;
use crate::compile::{LoadRequest, Source};
use crate::error::LoadError;
use crate::file;
use crate::panics::catch_panic;
use crate::policy::CompiledPolicy;
use crate::registry::generation::Generation;
use crate::registry::reconcile::Shared;
use crate::registry::slot::Candidate;
use crate::registry::status::{PolicyEvent, PolicySource};
use crate::registry::watch::Message;

impl Shared {
    pub fn serving(&self, name: &str) -> Option<Arc<PolicyVersion>> {
        let slots = self.slots();
        let active = slots.get(name)?.active.as_ref()?;
        Some(Arc::clone(active.version()))
    }

    /// Records that a file was refused. The active version stays; without one, the last
    /// good copy or else the built-in policy is activated.
    pub fn fail(&self, name: &str, paths: &[PathBuf], error: LoadError, digest: Option<String>) {
        // A file that was removed since the directory was read is not refused: the next
        // read retires it.
        if paths.iter().any(|path| file::is_removed(path)) {
            return;
        }
        let error = error.bounded();
        let mut slots = self.slots_mut();
        let slot = slots.entry(name.to_owned()).or_default();
        let known =
            matches!(&slot.candidate, Candidate::Failed { error: old, .. } if *old == error);
        let first_look = slot.active.is_none();
        slot.candidate = Candidate::Failed {
            error: error.clone(),
            digest,
        };
        drop(slots);
        if known {
            return;
        }
        if first_look {
            let path = paths.first().map(PathBuf::as_path).unwrap_or(Path::new(""));
            self.restore(name, path);
        }
        let serving = self.serving(name);
        let (name, reason) = (name.to_owned(), error.to_string());
        self.publish(&PolicyEvent::Failed {
            name,
            reason,
            serving,
        });
    }

    /// Activates the version that was good before a restart. Returns false if it has to
    /// be compiled first: then [`Shared::restored`] follows.
    pub fn restore(&self, name: &str, path: &Path) -> bool {
        let kept = self.last_good.as_ref().and_then(|last_good| {
            let digest = last_good.digest(name)?;
            Some((last_good.copy(name, &digest)?, digest))
        });
        let Some((copy, digest)) =
            kept.filter(|(_, digest)| !self.loads().is_unusable(name, digest))
        else {
            self.bring_back(name, path, None);
            return true;
        };
        if self.loads().is_restored_by(name, &digest) {
            return false;
        }
        if let Some(artifact) = self.engine.cached(&digest) {
            let outcome = self.link_copy(name, &digest, Ok(artifact));
            self.bring_back(name, path, outcome);
            return true;
        }
        let Some(watch) = self.watch.get().cloned() else {
            let request = self.copy_request(&digest, copy);
            let outcome = self.engine.load_and_wait(request);
            let outcome = self.link_copy(name, &digest, outcome);
            self.bring_back(name, path, outcome);
            return true;
        };
        // Registered first: without a child, `load` calls back before it returns.
        self.loads().begin_restore(name, path, &digest);
        let (policy_name, request) = (name.to_owned(), self.copy_request(&digest, copy));
        let of = digest.clone();
        let handle = self.engine.load(request, move |outcome| {
            watch.send(Message::Restored {
                name: policy_name,
                digest: of,
                outcome,
            });
        });
        self.loads().keep_restore(name, &digest, handle);
        false
    }

    /// Activates a last good copy that was compiled, if it is still wanted.
    pub fn restored(&self, name: &str, digest: &str, outcome: Result<Artifact, LoadError>) {
        let Some(path) = self.loads().end_restore(name, digest) else {
            return;
        };
        let _loading = self.loading();
        let policy = self.link_copy(name, digest, outcome);
        if policy.is_none() {
            self.loads().mark_unusable(name, digest);
        }
        // Another version may be active by now.
        let refused = self.last_good.as_ref();
        let refused = refused.and_then(|last_good| last_good.entry(name)?.refused);
        let is_wanted = self
            .serving(name)
            .is_none_or(|active| refused.is_some_and(|refused| *active.digest == *refused.digest));
        if !is_wanted {
            return;
        }
        let previous = self.serving(name);
        self.bring_back(name, &path, policy);
        if let Some(version) = self.serving(name) {
            let source = PolicySource::LastGood(path);
            self.publish(&PolicyEvent::Activated {
                version,
                previous,
                source,
                trial: None,
            });
        }
    }

    /// Returns the request to load a copy. The copy is read when its turn comes: after an
    /// upgrade, the copies of all names wait at once.
    fn copy_request(&self, digest: &str, copy: PathBuf) -> LoadRequest {
        LoadRequest {
            digest: digest.to_owned(),
            source: Source::File(copy),
            max_bytes: self.max_policy_bytes,
        }
    }

    fn link_copy(
        &self,
        name: &str,
        digest: &str,
        outcome: Result<Artifact, LoadError>,
    ) -> Option<CompiledPolicy> {
        let link = |artifact| {
            let (digest, budget) = (digest.to_owned(), self.budget(name));
            catch_panic(|| CompiledPolicy::link(&self.engine, name, digest, &artifact, budget))
                .unwrap_or_else(|panic| Err(LoadError::Compile(panic)))
        };
        outcome
            .and_then(link)
            .inspect_err(|error| tracing::warn!(name, %error, "a copy that was good is refused"))
            .ok()
    }

    /// Activates the last good copy of a file, or else the built-in policy.
    fn bring_back(&self, name: &str, path: &Path, copy: Option<CompiledPolicy>) {
        let mut slots = self.slots_mut();
        let slot = slots.entry(name.to_owned()).or_default();
        let (policy, source) = match (copy, slot.builtin.clone()) {
            (Some(policy), _) => (Arc::new(policy), PolicySource::LastGood(path.to_owned())),
            (None, Some(builtin)) => (builtin, PolicySource::BuiltIn),
            (None, None) => return,
        };
        let replaced = slot.activate(Generation::new(policy, source, &self.me));
        // The lock is released first: see `swap`.
        drop(slots);
        drop(replaced);
        self.fetch_predecessors(name, path);
    }

    /// Adds the stored versions that preceded the active one before a restart. Those that
    /// have to be compiled are added when that is done, unless another version was
    /// activated before.
    pub fn fetch_predecessors(&self, name: &str, path: &Path) {
        let Some(last_good) = &self.last_good else {
            return;
        };
        let slots = self.slots();
        let slot = slots.get(name);
        let builtin = slot.and_then(|slot| slot.builtin.clone());
        let active = slot.and_then(|slot| slot.active.clone());
        drop(slots);
        let Some(active) = active else { return };
        let order: Arc<[String]> = last_good.entry(name).unwrap_or_default().previous.into();
        for digest in order.iter() {
            let own = builtin.as_ref();
            if let Some(builtin) = own.filter(|own| *own.version().digest == **digest) {
                let source = PolicySource::BuiltIn;
                let before = Generation::new(Arc::clone(builtin), source, &self.me);
                active.attach(Arc::new(before), &order);
            } else if let Some(copy) = last_good.copy(name, digest) {
                let request = self.copy_request(digest, copy);
                self.fetch_predecessor(&active, name, path, request, &order);
            }
        }
    }

    fn fetch_predecessor(
        &self,
        active: &Arc<Generation>,
        name: &str,
        path: &Path,
        request: LoadRequest,
        order: &Arc<[String]>,
    ) {
        let (of, me, order) = (
            Arc::downgrade(active),
            Weak::clone(&self.me),
            Arc::clone(order),
        );
        let (name, path, digest) = (name.to_owned(), path.to_owned(), request.digest.clone());
        let handle = self.engine.load(request, move |outcome| {
            let (Some(active), Some(registry)) = (of.upgrade(), me.upgrade()) else {
                return;
            };
            if let Some(policy) = registry.link_copy(&name, &digest, outcome) {
                let source = PolicySource::LastGood(path);
                let before = Generation::new(Arc::new(policy), source, &me);
                active.attach(Arc::new(before), &order);
            }
        });
        active.await_predecessor(handle);
    }

    /// Handles the removal of a file: activates the built-in policy of its name, if there
    /// is one.
    pub fn retire(&self, name: &str) {
        let mut slots = self.slots_mut();
        let mut replaced = None;
        if let Some(slot) = slots.get_mut(name).filter(|slot| slot.follows_a_file()) {
            slot.candidate = Candidate::Settled;
            replaced = match slot.builtin.clone() {
                Some(builtin) if !slot.comes_from(&PolicySource::BuiltIn) => {
                    let source = PolicySource::BuiltIn;
                    slot.activate(Generation::new(builtin, source, &self.me))
                }
                Some(_) => None,
                None => slots.remove(name).and_then(|slot| slot.active),
            };
        }
        // The lock is released first: see `swap`.
        drop(slots);
        drop(replaced);
        if let Some(last_good) = &self.last_good {
            last_good.forget(name);
        }
        let (name, replacement) = (name.to_owned(), self.serving(name));
        self.publish(&PolicyEvent::Retired { name, replacement });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs;

    use crate::digest::digest;
    use crate::engine::{Engine, EngineOptions};
    use crate::error::LoadError;
    use crate::registry::{Registry, RegistryOptions};

    #[test]
    fn a_copy_that_is_deleted_before_its_turn_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::new(&EngineOptions::default()).unwrap();
        let options = RegistryOptions {
            last_good_directory: Some(directory.path().to_owned()),
            ..RegistryOptions::default()
        };
        let registry = Registry::open(&engine, options, &[]).unwrap();
        let last_good = registry.shared.last_good.as_ref().unwrap();
        let bytes = b"no policy at all";
        let digest = digest(bytes);
        last_good.keep("mine", &digest, bytes, &[]);
        let copy = last_good.copy("mine", &digest).unwrap();

        let waiting = registry.shared.copy_request(&digest, copy.clone());
        fs::remove_file(&copy).unwrap();
        let error = engine.load_and_wait(waiting).err().unwrap();
        assert!(
            matches!(&error, LoadError::Unreadable { path, .. } if *path == copy),
            "{error}"
        );
    }
}
