//! A name of a policy, and what stands behind it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::LoadError;
use crate::policy::CompiledPolicy;
use crate::registry::generation::Generation;
use crate::registry::status::PolicySource;

/// A name, and what stands behind it.
#[derive(Default)]
pub(super) struct Slot {
    pub builtin: Option<Arc<CompiledPolicy>>,
    pub active: Option<Arc<Generation>>,
    pub candidate: Candidate,
    /// The file that was taken up last, as long as it is there, and its digest.
    pub taken: Option<(PathBuf, String)>,
    /// Generations so far.
    pub generations: u64,
}

/// How the newest version of a name's file stands.
#[derive(Default)]
pub(super) enum Candidate {
    /// There is none, or it is the active one.
    #[default]
    Settled,
    /// The file was not judged yet.
    Pending,
    /// It was refused.
    Failed {
        error: LoadError,
        /// Its content, where that could be read.
        digest: Option<String>,
    },
}

impl Slot {
    /// Whether it stands for a file, good or bad.
    pub fn follows_a_file(&self) -> bool {
        !matches!(self.candidate, Candidate::Settled) || self.decides_by_a_file()
    }

    /// Whether the code that decides is a file's, as it is now or was good last.
    pub fn decides_by_a_file(&self) -> bool {
        self.active.as_ref().is_some_and(|active| {
            matches!(
                active.source,
                PolicySource::File(_) | PolicySource::LastGood(_)
            )
        })
    }

    /// What other code would take the place of.
    pub fn replaced(&self) -> Option<Arc<CompiledPolicy>> {
        let active = self.active.as_ref();
        // One that is of no use to anybody is nothing to be compared with.
        let before = active.filter(|active| active.health().is_quarantined_for_all());
        let before = before.and_then(|active| active.predecessors().into_iter().next());
        let active = before.as_ref().or(active).map(|active| &active.policy);
        active.or(self.builtin.as_ref()).cloned()
    }

    /// Whether that is where the code that decides came from.
    pub fn comes_from(&self, source: &PolicySource) -> bool {
        self.active
            .as_ref()
            .is_some_and(|active| active.source == *source)
    }

    /// Whether the file that was taken up last has this content.
    pub fn has_taken(&self, digest: &str) -> bool {
        self.taken
            .as_ref()
            .is_some_and(|(_, taken)| taken == digest)
    }

    /// Lets code decide; what it takes the place of is returned.
    pub fn activate(&mut self, mut generation: Generation) -> Option<Arc<Generation>> {
        self.generations += 1;
        generation.number = self.generations;
        self.active.replace(Arc::new(generation))
    }
}
