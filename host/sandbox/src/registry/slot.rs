//! The slot of a policy's name in the registry.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::LoadError;
use crate::policy::CompiledPolicy;
use crate::registry::generation::Generation;
use crate::registry::status::PolicySource;

/// The versions of one policy's name, and the state of its file.
#[derive(Default)]
pub(super) struct Slot {
    pub builtin: Option<Arc<CompiledPolicy>>,
    pub active: Option<Arc<Generation>>,
    pub candidate: Candidate,
    /// The file that was last accepted, as long as it exists, and its digest.
    pub accepted_file: Option<(PathBuf, String)>,
    /// Number of generations so far.
    pub generations: u64,
}

/// State of the newest version of a name's file.
#[derive(Default)]
pub(super) enum Candidate {
    /// There is no file, or its version is the active one.
    #[default]
    Settled,
    /// The file was not judged yet.
    Pending,
    /// It was refused.
    Failed {
        error: LoadError,
        /// Digest of its content, if that could be read.
        digest: Option<String>,
    },
}

impl Slot {
    /// Reports whether the name has a file, good or bad.
    pub fn follows_a_file(&self) -> bool {
        !matches!(self.candidate, Candidate::Settled) || self.decides_by_a_file()
    }

    /// Reports whether the active code comes from a file, current or last good.
    pub fn decides_by_a_file(&self) -> bool {
        self.active.as_ref().is_some_and(|active| {
            matches!(
                active.source,
                PolicySource::File(_) | PolicySource::LastGood(_)
            )
        })
    }

    /// Returns the code that new code would replace.
    pub fn replaced(&self) -> Option<Arc<CompiledPolicy>> {
        let active = self.active.as_ref();
        // A version that is quarantined for all objects is no standard of comparison.
        let before = active.filter(|active| active.health().is_quarantined_for_all());
        let before = before.and_then(|active| active.predecessors().into_iter().next());
        let active = before.as_ref().or(active).map(|active| &active.policy);
        active.or(self.builtin.as_ref()).cloned()
    }

    /// Reports whether the active code came from this source.
    pub fn comes_from(&self, source: &PolicySource) -> bool {
        self.active
            .as_ref()
            .is_some_and(|active| active.source == *source)
    }

    /// Reports whether the file that was last accepted has this content.
    pub fn has_accepted(&self, digest: &str) -> bool {
        self.accepted_file
            .as_ref()
            .is_some_and(|(_, accepted)| accepted == digest)
    }

    /// Activates code, and returns what it replaces.
    pub fn activate(&mut self, mut generation: Generation) -> Option<Arc<Generation>> {
        self.generations += 1;
        generation.number = self.generations;
        self.active.replace(Arc::new(generation))
    }
}
