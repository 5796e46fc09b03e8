//! Reconciles the registry with the files in the policies directory. All of it runs
//! outside of the decision path; decisions only see complete swaps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};
use std::time::Instant;

use flyball_decision::policy::{Budget, ConfigurationsInUse, Policy as _, PolicyVersion};
use flyball_decision::recorded::RecordedInputs;

use crate::code::Artifact;
use crate::compile::{LoadRequest, Source};
use crate::digest;
use crate::engine::Engine;
use crate::error::LoadError;
use crate::file;
use crate::panics::catch_panic;
use crate::policy::{CompiledPolicy, TickChecks};
use crate::registry::files;
use crate::registry::generation::Generation;
use crate::registry::last_good::LastGood;
use crate::registry::loads::{Load, Loads};
use crate::registry::rollback::digests;
use crate::registry::slot::{Candidate, Slot};
use crate::registry::status::{PolicyEvent, PolicySource, Subscribers};
use crate::registry::trial::Trial;
use crate::registry::users::Users;
use crate::registry::watch::{Message, Notices};

/// Configurations that objects use, by policy.
pub(super) type Configurations = BTreeMap<String, ConfigurationsInUse>;

/// Slots by policy name.
pub(super) type Slots = BTreeMap<String, Slot>;

/// State of the registry, shared with its thread.
pub(super) struct Shared {
    /// The registry itself, for what it hands out.
    pub me: Weak<Shared>,
    pub engine: Engine,
    pub budgets: BTreeMap<String, Budget>,
    pub default_budget: Budget,
    pub max_policy_bytes: u64,
    pub slots: RwLock<Slots>,
    /// Configurations in use. `None` until they are known.
    pub configurations: Mutex<Option<Configurations>>,
    /// Objects that name each policy.
    pub users: Mutex<BTreeMap<String, Arc<Users>>>,
    /// Checks of configurations in the current tick.
    pub checks: Mutex<TickChecks>,
    /// See [`crate::RegistryOptions::accept_any_configuration`].
    pub accept_any_configuration: BTreeSet<String>,
    pub recorded: Option<Arc<dyn RecordedInputs>>,
    pub rollback_window_ms: i64,
    pub last_good: Option<LastGood>,
    pub subscribers: Subscribers,
    /// The thread that watches the directory, if there is one.
    pub watch: OnceLock<Notices>,
    /// Held while code is judged and swapped: one at a time leaves the other cores to
    /// decisions.
    pub loading: Mutex<()>,
    /// Files that are being compiled.
    pub loads: Mutex<Loads>,
}

/// Why a file is refused, and its digest if it would be refused again.
type Refused = (LoadError, Option<String>);

impl Shared {
    pub fn slots(&self) -> RwLockReadGuard<'_, Slots> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn slots_mut(&self) -> RwLockWriteGuard<'_, Slots> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn loading(&self) -> MutexGuard<'_, ()> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn loads(&self) -> MutexGuard<'_, Loads> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports whether no file, and no last good copy that is to decide, is being
    /// compiled.
    pub fn is_settled(&self) -> bool {
        self.loads().is_empty()
    }

    /// Updates the names to the files that were found. Begins to compile new files: a
    /// message to `notices` reports the end, see [`Shared::compiled`].
    pub fn reconcile(&self, found: &BTreeMap<String, Vec<PathBuf>>, notices: &Notices) {
        let _loading = self.loading();
        self.follow_refusals(found);
        for (name, paths) in found {
            let begun = catch_panic(|| self.begin_load(name, paths, notices));
            if let Err((error, digest)) = begun.unwrap_or_else(panicked) {
                self.loads().cancel(name);
                self.fail(name, paths, error, digest);
            }
        }
        for name in self.vanished(found) {
            self.loads().forget(&name);
            self.retire(&name);
        }
        let mut slots = self.slots_mut();
        let gone = slots
            .iter_mut()
            .filter(|(name, _)| !found.contains_key(*name));
        gone.for_each(|(_, slot)| slot.accepted_file = None);
        drop(slots);
        self.store_notes(found.keys().map(String::as_str));
    }

    /// Returns the names that had a file, perhaps before the last restart, and are not in
    /// `found`.
    pub fn vanished(&self, found: &BTreeMap<String, Vec<PathBuf>>) -> BTreeSet<String> {
        let slots = self.slots();
        let followed = slots.iter().filter(|(_, slot)| slot.follows_a_file());
        followed
            .map(|(name, _)| name.clone())
            .chain(self.last_good.iter().flat_map(LastGood::names))
            .filter(|name| !found.contains_key(name))
            .collect()
    }

    /// Begins to compile a name's file, if it is not known.
    fn begin_load(&self, name: &str, paths: &[PathBuf], notices: &Notices) -> Result<(), Refused> {
        let [path] = paths else {
            return Err((LoadError::DuplicateFiles(paths.to_vec()), None));
        };
        let stem = files::stem(path).unwrap_or_default();
        crate::policy::check_name(&stem).map_err(|error| (error, None))?;
        let digest = file::digest(path, self.max_policy_bytes).map_err(|error| (error, None))?;
        if self.is_known(name, path, &digest) {
            self.loads().cancel(name);
            return Ok(());
        }
        if let Some(error) = self.refused(name, &digest) {
            self.loads().cancel(name);
            return Err((error, Some(digest)));
        }
        let put_off = self.loads().put_off(name, &digest, Instant::now());
        if let Some(error) = put_off {
            return Err((error, None));
        }
        let Some(number) = self.loads().begin(name, path, &digest) else {
            return Ok(());
        };
        self.await_judgement(name);
        let request = LoadRequest {
            digest,
            source: Source::File(path.clone()),
            max_bytes: self.max_policy_bytes,
        };
        let (policy_name, notices) = (name.to_owned(), notices.clone());
        let handle = self.engine.load(request, move |outcome| {
            notices.send(Message::Compiled {
                name: policy_name,
                number,
                outcome,
            });
        });
        self.loads().keep(name, number, handle);
        Ok(())
    }

    /// Marks a name's file as pending. A file that was refused and may be accepted
    /// another time stays refused until it is.
    fn await_judgement(&self, name: &str) {
        let mut slots = self.slots_mut();
        let slot = slots.entry(name.to_owned()).or_default();
        if !matches!(slot.candidate, Candidate::Failed { digest: None, .. }) {
            slot.candidate = Candidate::Pending;
        }
    }

    /// Activates a file that was compiled, if it is still wanted.
    pub fn compiled(&self, name: &str, number: u64, outcome: Result<Artifact, LoadError>) {
        let Some(load) = self.loads().end(name, number) else {
            return;
        };
        self.loads()
            .note(name, &load.digest, outcome.as_ref().err(), Instant::now());
        let _loading = self.loading();
        let outcome = catch_panic(|| self.activate_compiled(name, &load, outcome));
        if let Err((error, digest)) = outcome.unwrap_or_else(|panic| {
            // The file would cause the same panic again.
            Err((LoadError::Compile(panic), Some(load.digest.clone())))
        }) {
            self.fail(name, &[load.path], error, digest);
        }
        self.store_notes(std::iter::once(name));
    }

    fn activate_compiled(
        &self,
        name: &str,
        load: &Load,
        outcome: Result<Artifact, LoadError>,
    ) -> Result<(), Refused> {
        let Load { path, digest, .. } = load;
        // Another daemon may have refused it during the compilation.
        if let Some(error) = self.refused(name, digest) {
            return Err((error, Some(digest.clone())));
        }
        let paths = std::slice::from_ref(path);
        let refused = |error: LoadError| {
            // A file whose digest is known is not loaded again.
            let known = (!error.may_pass()).then(|| digest.clone());
            (error, known)
        };
        let artifact = outcome.map_err(refused)?;
        let budget = self.budget(name);
        let policy = CompiledPolicy::link(&self.engine, name, digest.clone(), &artifact, budget);
        let policy = policy.map_err(refused)?;
        let kept = self
            .last_good
            .as_ref()
            .and_then(|last_good| last_good.digest(name));
        let mut trial = None;
        // The last good version was judged before the restart. What another daemon
        // activated has not been tried on this daemon's records.
        let replaces = self.slots().get(name).is_some_and(Slot::decides_by_a_file);
        if kept.as_ref() != Some(digest) || replaces {
            if kept.is_some() && self.must_wait(name, paths) {
                return Ok(());
            }
            trial = self.judge(name, &policy).map_err(refused)?;
        }
        self.swap(name, policy, PolicySource::File(path.clone()), trial);
        self.keep(name, path, digest);
        Ok(())
    }

    /// Stores a copy of a file as the last good one of its name, unless the file has
    /// changed since it was compiled: then it is about to be read again.
    fn keep(&self, name: &str, path: &Path, digest: &str) {
        let Some(last_good) = &self.last_good else {
            return;
        };
        if last_good.digest(name).as_deref() == Some(digest) {
            return;
        }
        if let Ok(bytes) = file::read(path, self.max_policy_bytes)
            && digest::digest(&bytes) == digest
        {
            self.lift_refusal(name, digest);
            last_good.keep(name, digest, &bytes, &self.previous_digests(name));
        }
    }

    /// Activates the last good copy until a new file is judged. Returns whether the
    /// judgement has to wait: until that copy is compiled, and until the configurations
    /// in use are known, since a file that breaks one of them is not recognized before.
    fn must_wait(&self, name: &str, paths: &[PathBuf]) -> bool {
        let path = paths.first().map(PathBuf::as_path).unwrap_or(Path::new(""));
        if self.serving(name).is_none() && !self.restore(name, path) {
            self.await_judgement(name);
            return true;
        }
        let configurations_known = self
            .configurations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        let mut slots = self.slots_mut();
        let Some(slot) = slots.get_mut(name).filter(|slot| slot.decides_by_a_file()) else {
            return false;
        };
        if !configurations_known {
            slot.candidate = Candidate::Pending;
        }
        !configurations_known
    }

    /// Reports whether that content is already active or refused. A policy that was
    /// installed in its place stays until the file changes.
    fn is_known(&self, name: &str, path: &Path, digest: &str) -> bool {
        let mut slots = self.slots_mut();
        let Some(slot) = slots.get_mut(name) else {
            return false;
        };
        let is_accepted = slot
            .accepted_file
            .as_ref()
            .is_some_and(|(accepted, old)| accepted == path && old == digest);
        let source = PolicySource::File(path.to_owned());
        let active =
            is_accepted && (slot.comes_from(&source) || slot.comes_from(&PolicySource::Installed));
        if active {
            slot.candidate = Candidate::Settled;
        }
        active
            || matches!(&slot.candidate, Candidate::Failed { digest: Some(old), .. } if old == digest)
    }

    /// Compiles bytes and waits for the result.
    pub fn compile(&self, name: &str, bytes: &[u8]) -> Result<CompiledPolicy, LoadError> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > self.max_policy_bytes {
            return Err(LoadError::TooLarge {
                size,
                limit: self.max_policy_bytes,
            });
        }
        CompiledPolicy::load(&self.engine, name, bytes, self.budget(name))
    }

    /// Returns code by its digest: active, kept besides the active one, or built-in.
    pub fn by_digest(&self, digest: &str) -> Option<Arc<CompiledPolicy>> {
        let slots = self.slots();
        let known = slots.values().flat_map(|slot| {
            let active = slot.active.iter();
            let active = active.flat_map(|active| {
                let before = active.predecessors().into_iter();
                let before = before.map(|before| Arc::clone(&before.policy));
                std::iter::once(Arc::clone(&active.policy)).chain(before)
            });
            active.chain(slot.builtin.clone())
        });
        let mut known = known;
        known.find(|policy| *policy.version().digest == *digest)
    }

    fn previous_digests(&self, name: &str) -> Vec<String> {
        let slots = self.slots();
        let active = slots.get(name).and_then(|slot| slot.active.as_ref());
        active.map_or_else(Vec::new, |active| digests(&active.predecessors()))
    }

    pub fn budget(&self, name: &str) -> Budget {
        self.budgets
            .get(name)
            .copied()
            .unwrap_or(self.default_budget)
    }

    /// Activates code. Callers that hold the previous version keep it.
    pub fn swap(
        &self,
        name: &str,
        policy: CompiledPolicy,
        source: PolicySource,
        trial: Option<Trial>,
    ) -> Arc<PolicyVersion> {
        let is_first = self.serving(name).is_none();
        let policy = Arc::new(policy);
        let began = self.began(name, &policy.version().digest);
        let generation = Generation::new(Arc::clone(&policy), source.clone(), &self.me)
            .after(self.predecessors(policy.version()))
            .into_new_version(began, trial.clone());
        let mut slots = self.slots_mut();
        let slot = slots.entry(name.to_owned()).or_default();
        let version = Arc::clone(policy.version());
        if let PolicySource::File(path) = &source {
            slot.accepted_file = Some((path.clone(), version.digest.to_string()));
        }
        let replaced = slot.activate(generation);
        slot.candidate = Candidate::Settled;
        drop(slots);
        if is_first && let PolicySource::File(path) = &source {
            self.fetch_predecessors(name, path);
        }
        // Unmapping the old code takes a while: the lock is released first.
        let previous = replaced.map(|replaced| Arc::clone(replaced.version()));
        let event = PolicyEvent::Activated {
            version: Arc::clone(&version),
            previous,
            source,
            trial,
        };
        self.publish(&event);
        version
    }

    pub fn publish(&self, event: &PolicyEvent) {
        self.subscribers.publish(event);
    }
}

/// Returns the refusal of a file on which this process panicked before it was compiled.
fn panicked(panic: String) -> Result<(), Refused> {
    Err((LoadError::Compile(panic), None))
}

#[cfg(test)]
mod tests;
