//! Files that take over from policies while the demo runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use flyball_decision::policy::Policy as _;
use flyball_sandbox::{PolicyState, Registry};

use crate::policies;

/// A component that takes over from the policy in use.
pub struct Swap {
    /// Name of the policy in use, and stem of the file that is copied.
    pub in_use: &'static str,
    /// The component, with its own name.
    pub source: policies::Source,
    /// Digest of the component.
    pub digest: String,
    /// The file that is copied.
    file: PathBuf,
    copied: OnceLock<Instant>,
    active: OnceLock<Duration>,
}

impl Swap {
    /// Creates the swap of a given file, or else of an embedded policy.
    ///
    /// # Errors
    /// If the given file can't be read, or the policies directory has a file for the
    /// policy in use.
    pub fn new(
        in_use: &'static str,
        given: Option<&Path>,
        (name, embedded): (&str, &[u8]),
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let source = match given {
            Some(file) => policies::read(file)?,
            None => policies::Source {
                name: name.to_owned(),
                component: embedded.to_vec(),
            },
        };
        let file = directory.join(format!("{in_use}.wasm"));
        ensure!(
            !file.exists(),
            "{} is there already: the demo wants to put it there",
            file.display()
        );
        Ok(Self {
            in_use,
            digest: flyball_sandbox::digest(&source.component),
            source,
            file,
            copied: OnceLock::new(),
            active: OnceLock::new(),
        })
    }

    /// Copies the component into the policies directory, as a user would. Returns `false`
    /// if that was done before.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn copy(&self) -> anyhow::Result<bool> {
        if self.copied.set(Instant::now()).is_err() {
            return Ok(false);
        }
        fs::write(&self.file, &self.source.component)
            .with_context(|| format!("cannot write {}", self.file.display()))?;
        Ok(true)
    }

    /// Reports whether the component decides.
    pub fn is_active(&self) -> bool {
        self.active.get().is_some()
    }

    /// Returns the time from the copy until the component decides, if this is the first
    /// call since then.
    pub fn newly_active(&self, registry: &Registry) -> Option<Duration> {
        let elapsed = self.copied.get()?.elapsed();
        let policy = registry.compiled(self.in_use)?;
        let is_own = *policy.version().digest == *self.digest;
        (is_own && self.active.set(elapsed).is_ok()).then_some(elapsed)
    }

    /// Checks that the component took over.
    ///
    /// # Errors
    /// If it did not, with the reason.
    pub fn check(&self, registry: &Registry) -> anyhow::Result<()> {
        let (name, in_use) = (&self.source.name, self.in_use);
        if self.copied.get().is_none() {
            bail!("the demo was stopped before {name} was copied");
        }
        if self.is_active() {
            return Ok(());
        }
        let mut status = registry.status().into_iter();
        match status.find(|policy| policy.name == in_use) {
            Some(policy) => match policy.state {
                PolicyState::Failed { reason } | PolicyState::RolledBack { reason } => {
                    bail!("{name} did not take over from {in_use}: {reason}")
                }
                _ => bail!("{name} did not take over from {in_use}: see the log"),
            },
            None => bail!("{name} did not take over from {in_use}: it is not loaded"),
        }
    }
}
