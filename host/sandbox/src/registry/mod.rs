//! Registry of policies by name: built-in ones, files in a directory, and the active
//! version of each.
//!
//! A policy's name is its file's stem. A file with a built-in policy's stem replaces it;
//! the built-in one stays as the fallback. A file becomes active only after every check;
//! on any failure the last good version goes on deciding, also after a restart (a private
//! copy is kept). Deleting a file retires its policy, at once and in the same way before
//! and after a restart: the built-in policy of that name decides again, and if there is
//! none, no policy.

mod admit;
mod files;
mod generation;
mod health;
mod last_good;
mod loads;
mod options;
mod reconcile;
mod rollback;
mod sample;
mod serving;
mod slot;
mod status;
mod trial;
mod turns;
mod users;
mod watch;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use flyball_decision::policy::{
    ConfigurationsInUse, DEFAULT_EXPANDER, DEFAULT_MOVE_JUDGE, DEFAULT_NODE_JUDGE,
    DEFAULT_POD_JUDGE, DEFAULT_REPLICA_POLICY, Policy, PolicyEngine, PolicyFailure, PolicyUser,
    PolicyVersion, RolledBack, interface,
};

use crate::engine::Engine;
use crate::error::{LoadError, RegistryError};
use crate::policy::CompiledPolicy;
use generation::Generation;
pub use options::{DEFAULT_ROLLBACK_WINDOW, RegistryOptions};
use reconcile::{Configurations, Shared};
pub use rollback::{HandRollback, has_last_good, roll_back_by_hand};
use slot::{Candidate, Slot};
pub use status::{PolicyEvent, PolicySource, PolicyState, PolicyStatus};
pub use trial::Trial;

/// All policies, by name. Dropping it ends the watch.
pub struct Registry {
    shared: Arc<Shared>,
    watch: Option<watch::Notices>,
}

impl Registry {
    /// Loads the built-in policies (name and bytes) and begins to watch the
    /// directory, if there is one. Its files are loaded in the background, and
    /// names that have one are pending until then: see [`Registry::rescan`].
    ///
    /// # Errors
    /// If a built-in policy or a private directory is not usable. Bad files are never an
    /// error.
    pub fn open(
        engine: &Engine,
        options: RegistryOptions,
        builtins: &[(&str, &[u8])],
    ) -> Result<Self, RegistryError> {
        let last_good = match &options.last_good_directory {
            Some(directory) => Some(last_good::LastGood::open(directory)?),
            None => None,
        };
        let window = i64::try_from(options.rollback_window.as_millis());
        let shared = Arc::new_cyclic(|me| Shared {
            me: me.clone(),
            engine: engine.clone(),
            budgets: options.budgets,
            default_budget: options.default_budget,
            max_policy_bytes: options.max_policy_bytes,
            slots: RwLock::default(),
            configurations: Mutex::default(),
            users: Mutex::default(),
            checks: Mutex::default(),
            accept_any_configuration: options.accept_any_configuration,
            recorded: options.recorded,
            rollback_window_ms: window.unwrap_or(i64::MAX),
            last_good,
            subscribers: status::Subscribers::default(),
            watch: OnceLock::new(),
            loading: Mutex::default(),
            loads: Mutex::default(),
        });
        let pending = options
            .directory
            .as_deref()
            .and_then(|path| files::list(path).ok());
        prepare(&shared, builtins, &pending.unwrap_or_default())?;
        let watch = match options.directory {
            Some(directory) => {
                let shared = Arc::clone(&shared);
                let (debounce, rescan) = (options.debounce, options.rescan);
                Some(watch::start(shared, directory, debounce, rescan)?)
            }
            None => None,
        };
        Ok(Self { shared, watch })
    }

    /// Loads built-in policies and files before it returns, without a watch: for
    /// simulations, replays and single runs.
    ///
    /// # Errors
    /// The first policy that is not usable, with its name.
    pub fn fixed(
        engine: &Engine,
        builtins: &[(&str, &[u8])],
        files: &[PathBuf],
    ) -> Result<Self, RegistryError> {
        let registry = Self::open(engine, RegistryOptions::default(), builtins)?;
        let mut seen: BTreeMap<String, &Path> = BTreeMap::new();
        for path in files {
            let name = file_name(path)?;
            if let Some(other) = seen.insert(name.clone(), path) {
                let paths = vec![other.to_owned(), path.clone()];
                return Err(RegistryError::Policy {
                    name,
                    error: LoadError::DuplicateFiles(paths),
                });
            }
            registry.install_file(path)?;
        }
        Ok(registry)
    }

    /// Activates bytes under a name after all checks, before it returns.
    ///
    /// # Errors
    /// The first check that fails; the active version stays.
    pub fn install(&self, name: &str, bytes: &[u8]) -> Result<Arc<PolicyVersion>, LoadError> {
        self.admit(name, bytes, PolicySource::Installed)
            .map_err(LoadError::bounded)
    }

    /// Activates a file under its stem, like [`Registry::install`].
    ///
    /// # Errors
    /// The first check that fails, with the policy's name.
    pub fn install_file(&self, path: &Path) -> Result<Arc<PolicyVersion>, RegistryError> {
        let name = file_name(path)?;
        crate::file::read(path, self.shared.max_policy_bytes)
            .and_then(|bytes| self.admit(&name, &bytes, PolicySource::File(path.to_owned())))
            .map_err(|error| RegistryError::Policy {
                name,
                error: error.bounded(),
            })
    }

    fn admit(
        &self,
        name: &str,
        bytes: &[u8],
        source: PolicySource,
    ) -> Result<Arc<PolicyVersion>, LoadError> {
        // Files may be activated while it is compiled.
        let policy = self.shared.compile(name, bytes)?;
        let _loading = self.shared.loading();
        let trial = self.shared.judge(name, &policy)?;
        Ok(self.shared.swap(name, policy, source, trial))
    }

    /// Reads the directory now, and returns when all its files are judged, however long
    /// they take to compile.
    pub fn rescan(&self) {
        if let Some(settled) = self.begin_rescan() {
            // An error means that the thread ended: then nothing is running.
            let _ = settled.recv();
        }
    }

    /// Reads the directory now, and returns when all its files are judged or after
    /// `limit`. Files that take longer are activated when they are compiled.
    pub fn rescan_within(&self, limit: Duration) {
        if let Some(settled) = self.begin_rescan() {
            // An error means that it took too long, or that the thread ended.
            let _ = settled.recv_timeout(limit);
        }
    }

    fn begin_rescan(&self) -> Option<Receiver<()>> {
        let (done, settled) = channel();
        self.watch.as_ref()?.send(watch::Message::Rescan(done));
        Some(settled)
    }

    /// Sets the configurations that objects use, by policy. A version that breaks one of
    /// them, by its schema or by misbehaving, is refused; not all are tried if there are
    /// many, or if they take long. Until this is called after a restart, the last good
    /// version decides, and a file that has changed since waits.
    pub fn set_configurations_in_use(&self, configurations: BTreeMap<String, ConfigurationsInUse>) {
        if self
            .shared
            .set_configurations(Configurations::from(configurations))
            && let Some(watch) = &self.watch
        {
            watch.changed(true);
        }
    }

    /// Sets the objects that name each policy. A version that is quarantined in every
    /// namespace of theirs is quarantined for all. Until this is called, none is.
    pub fn set_policy_users(&self, users: BTreeMap<String, Vec<PolicyUser>>) {
        let users = users.into_iter();
        let users = users
            .map(|(name, users)| (name, Arc::new(users.into_iter().collect())))
            .collect();
        let known = self.shared.users.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = users;
    }

    /// Returns the active code of a name without the counting and the quarantine of
    /// [`PolicyEngine::policy`]: for checks of configurations and for replays.
    #[must_use]
    pub fn compiled(&self, name: &str) -> Option<Arc<CompiledPolicy>> {
        let slots = self.shared.slots();
        Some(Arc::clone(&slots.get(name)?.active.as_ref()?.policy))
    }

    /// Returns code by its digest (`sha256:…`): active, kept besides the active one, or
    /// built-in.
    #[must_use]
    pub fn policy_by_digest(&self, digest: &str) -> Option<Arc<CompiledPolicy>> {
        self.shared.by_digest(digest)
    }

    /// Returns the status of all policies, by name.
    #[must_use]
    pub fn status(&self) -> Vec<PolicyStatus> {
        let slots = self.shared.slots();
        slots
            .iter()
            .map(|(name, slot)| status(name, slot))
            .collect()
    }

    /// Returns a receiver of the events from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<PolicyEvent> {
        self.shared.subscribers.add()
    }
}

impl PolicyEngine for Registry {
    fn policy(&self, kind: &str, name: &str) -> Result<Arc<dyn Policy>, PolicyFailure> {
        Ok(self.active(name, kind)?)
    }

    fn fallback(&self, interface: &str, name: &str) -> Option<Arc<dyn Policy>> {
        let default = match interface {
            interface::REPLICA => DEFAULT_REPLICA_POLICY,
            interface::EXPANDER => DEFAULT_EXPANDER,
            interface::SCALE_DOWN_PODS => DEFAULT_POD_JUDGE,
            interface::SCALE_DOWN_NODES => DEFAULT_NODE_JUDGE,
            interface::SCALE_DOWN_MOVES => DEFAULT_MOVE_JUDGE,
            _ => return None,
        };
        Some(self.builtin(name, interface, default)?)
    }
}

impl Registry {
    /// Returns the active version of a name, if it has that kind.
    fn active(&self, name: &str, kind: &str) -> Result<Arc<Generation>, PolicyFailure> {
        let slots = self.shared.slots();
        let slot = slots.get(name);
        if let Some(active) = slot.and_then(|slot| slot.active.as_ref()) {
            active.description().must_have_kind(name, kind)?;
            return Ok(Arc::clone(active));
        }
        Err(PolicyFailure::Missing(
            match slot.map(|slot| &slot.candidate) {
                Some(Candidate::Pending) => format!("policy `{name}` is still being loaded"),
                Some(Candidate::Failed { error, .. }) => {
                    format!("policy `{name}` failed: {}", error.for_objects())
                }
                _ => format!(
                    "there is no policy `{name}`: put {name}.wasm into the policies directory"
                ),
            },
        ))
    }

    /// Returns the built-in policy of that name, if it answers the question of that
    /// interface, else the interface's default one.
    fn builtin(&self, name: &str, interface: &str, default: &str) -> Option<Arc<CompiledPolicy>> {
        let slots = self.shared.slots();
        let builtin = |name: &str| {
            let policy = slots.get(name)?.builtin.as_ref()?;
            policy.answers(interface).then(|| Arc::clone(policy))
        };
        builtin(name).or_else(|| builtin(default))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.send(watch::Message::Stop);
        }
    }
}

/// Loads the built-in policies. Those that a file replaces are not activated: the
/// operator replaced them, and the file is about to be read.
fn prepare(
    shared: &Arc<Shared>,
    builtins: &[(&str, &[u8])],
    pending: &BTreeMap<String, Vec<PathBuf>>,
) -> Result<(), RegistryError> {
    let policies = load_built_in(shared, builtins)?;
    let mut slots = shared.slots_mut();
    for ((name, _), policy) in builtins.iter().zip(policies) {
        let slot = slots.entry((*name).to_owned()).or_default();
        slot.builtin = Some(Arc::clone(&policy));
        if !pending.contains_key(*name) {
            slot.activate(Generation::new(policy, PolicySource::BuiltIn, &shared.me));
        }
    }
    for name in pending.keys() {
        slots.entry(name.clone()).or_default().candidate = Candidate::Pending;
    }
    Ok(())
}

/// Loads the built-in policies, as many at a time as there are processors: at the first
/// start they are compiled.
fn load_built_in(
    shared: &Shared,
    builtins: &[(&str, &[u8])],
) -> Result<Vec<Arc<CompiledPolicy>>, RegistryError> {
    let load = |(name, bytes): &(&str, &[u8])| {
        let budget = shared.budget(name);
        let policy = CompiledPolicy::load_built_in(&shared.engine, name, bytes, budget);
        policy.map(Arc::new).map_err(|error| RegistryError::Policy {
            name: (*name).to_owned(),
            error,
        })
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let share = builtins.len().div_ceil(processors).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = builtins
            .chunks(share)
            .map(|share| scope.spawn(move || share.iter().map(load).collect::<Vec<_>>()))
            .collect();
        let ended = threads.into_iter().map(ScopedJoinHandle::join);
        let loaded = ended.flat_map(|ended| ended.unwrap_or_else(|panic| resume_unwind(panic)));
        loaded.collect()
    })
}

fn file_name(path: &Path) -> Result<String, RegistryError> {
    let stem = files::stem(path).unwrap_or_default();
    crate::policy::check_name(&stem).map_err(|error| match stem.as_str() {
        "" => RegistryError::NotAPolicyFile(path.to_owned()),
        _ => RegistryError::Policy {
            name: stem.clone(),
            error,
        },
    })?;
    Ok(stem)
}

fn status(name: &str, slot: &Slot) -> PolicyStatus {
    let health = slot
        .active
        .as_ref()
        .map(|active| active.health())
        .unwrap_or_default();
    let state = match (&slot.candidate, health.quarantined()) {
        (Candidate::Pending, _) => PolicyState::Pending,
        (
            Candidate::Failed {
                error: LoadError::RolledBack(reason),
                ..
            },
            _,
        ) => PolicyState::RolledBack {
            reason: reason.clone(),
        },
        (Candidate::Failed { error, .. }, _) => PolicyState::Failed {
            reason: error.to_string(),
        },
        (Candidate::Settled, Some((until, reason))) => PolicyState::Quarantined { until, reason },
        (Candidate::Settled, None) => {
            match slot.active.as_ref().and_then(|one| one.rolled_back()) {
                Some(RolledBack { reason, .. }) => PolicyState::RolledBack {
                    reason: reason.clone(),
                },
                None => PolicyState::Active,
            }
        }
    };
    let description = slot.active.as_ref().map(|active| active.description());
    let predecessors = slot.active.as_ref().map(|active| active.predecessors());
    let previous = predecessors.and_then(|predecessors| predecessors.into_iter().next());
    PolicyStatus {
        name: name.to_owned(),
        state,
        version: slot
            .active
            .as_ref()
            .map(|active| Arc::clone(active.version())),
        source: slot.active.as_ref().map(|active| active.source.clone()),
        kinds: description.map_or_else(Vec::new, |description| description.kinds.clone()),
        summary: description.map_or_else(String::new, |description| description.summary.clone()),
        generation: slot.active.as_ref().map_or(0, |active| active.number),
        decisions: health.decisions,
        failures: health.failures,
        highest_budget_share: health.highest_share,
        near_budget: health.near_budget(),
        previous: previous.map(|previous| Arc::clone(previous.version())),
        trial: slot.active.as_ref().and_then(|active| active.trial.clone()),
    }
}
