//! Versions of the policy contract: finds the one that a component was built for, and its
//! adapter. Each version is a directory in `wit/` and a module here; see `wit/README.md`
//! for the rules.

mod draft;

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, ExpanderRanking};
use flyball_decision::policy::{Description, interface};
use flyball_decision::replica::{ReplicaDecision, ReplicaInput};
use flyball_decision::scale_down::{
    MoveVerdicts, NodeVerdicts, PodVerdicts, ScaleDownMovesInput, ScaleDownNodesInput,
    ScaleDownPodsInput,
};
use wasmtime::Store;
use wasmtime::component::Component;

use crate::error::LoadError;
use crate::guest::Guest;
use crate::parse::Surface;

const PACKAGE: &str = "flyball:policy/";

/// A version of the contract that this host speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// `0.1.0-draft`, not frozen yet.
    Draft,
}

impl Contract {
    /// All versions, oldest first.
    pub const ALL: &'static [Self] = &[Self::Draft];

    /// Returns the version, as in the name of the package in `wit/`.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Draft => "0.1.0-draft",
        }
    }

    /// Name of its directory in `wit/`.
    #[must_use]
    pub fn directory(self) -> &'static str {
        match self {
            Self::Draft => "draft",
        }
    }

    /// Returns the version that a component was built for, from its imports and exports,
    /// which must be those of a policy.
    pub(crate) fn of(surface: &Surface) -> Result<Self, LoadError> {
        let found = versions(surface);
        let version = match found.as_slice() {
            [] => return Err(LoadError::NotAPolicy),
            [version] => *version,
            several => return Err(LoadError::MixedContracts(several.join(", "))),
        };
        let Some(contract) = Self::ALL.iter().find(|one| one.version() == version) else {
            let found = if version.is_empty() {
                "(no version)"
            } else {
                version
            };
            return Err(LoadError::UnsupportedContract {
                found: found.to_owned(),
                supported: supported(),
            });
        };
        contract.check_surface(surface)?;
        Ok(*contract)
    }

    fn check_surface(self, surface: &Surface) -> Result<(), LoadError> {
        let known = ["log", "types", "scale-down-types"].map(|interface| self.interface(interface));
        let mut unknown: Vec<String> = surface
            .imports
            .iter()
            .filter(|name| !known.contains(name))
            .cloned()
            .collect();
        if !unknown.is_empty() {
            unknown.sort();
            return Err(LoadError::UnknownImports(unknown));
        }
        if !self.exports(surface, "description") {
            return Err(LoadError::MissingExport("description".to_owned()));
        }
        if self.interfaces(surface).is_empty() {
            return Err(LoadError::MissingExport(interface::ALL.join(" or ")));
        }
        Ok(())
    }

    /// Reports whether the component exports an interface of this version.
    pub(crate) fn exports(self, surface: &Surface, interface: &str) -> bool {
        surface.exports.contains(&self.interface(interface))
    }

    /// Returns the questions that the component answers.
    pub(crate) fn interfaces(self, surface: &Surface) -> Vec<&'static str> {
        let mut interfaces = interface::ALL.to_vec();
        interfaces.retain(|interface| self.exports(surface, interface));
        interfaces
    }

    fn interface(self, name: &str) -> String {
        format!("{PACKAGE}{name}@{}", self.version())
    }

    /// Links a compiled component.
    pub(crate) fn link(self, component: &Component, surface: &Surface) -> wasmtime::Result<Linked> {
        let interfaces = self.interfaces(surface);
        match self {
            Self::Draft => draft::Linked::new(component, &interfaces).map(Linked::Draft),
        }
    }
}

/// A component linked against its version of the contract.
pub(crate) enum Linked {
    Draft(draft::Linked),
}

impl Linked {
    pub fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<Description> {
        match self {
            Self::Draft(linked) => linked.describe(store),
        }
    }

    pub fn decide(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ReplicaInput,
    ) -> wasmtime::Result<Result<ReplicaDecision, Refusal>> {
        match self {
            Self::Draft(linked) => linked.decide(store, context, input),
        }
    }

    pub fn rank(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ExpanderInput,
    ) -> wasmtime::Result<Result<ExpanderRanking, Refusal>> {
        match self {
            Self::Draft(linked) => linked.rank(store, context, input),
        }
    }

    pub fn judge_pods(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ScaleDownPodsInput,
    ) -> wasmtime::Result<Result<PodVerdicts, Refusal>> {
        match self {
            Self::Draft(linked) => linked.judge_pods(store, context, input),
        }
    }

    pub fn judge_nodes(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ScaleDownNodesInput,
    ) -> wasmtime::Result<Result<NodeVerdicts, Refusal>> {
        match self {
            Self::Draft(linked) => linked.judge_nodes(store, context, input),
        }
    }

    pub fn judge_moves(
        &self,
        store: &mut Store<Guest>,
        context: &Context,
        input: &ScaleDownMovesInput,
    ) -> wasmtime::Result<Result<MoveVerdicts, Refusal>> {
        match self {
            Self::Draft(linked) => linked.judge_moves(store, context, input),
        }
    }
}

/// A policy's typed error.
pub(crate) struct Refusal {
    pub code: String,
    pub message: String,
}

fn versions(surface: &Surface) -> Vec<&str> {
    let mut versions: Vec<&str> = surface
        .imports
        .iter()
        .chain(&surface.exports)
        .filter_map(|name| name.strip_prefix(PACKAGE))
        .map(|name| name.split_once('@').map_or("", |(_, version)| version))
        .collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

fn supported() -> String {
    match Contract::ALL {
        [only] => only.version().to_owned(),
        [oldest, .., newest] => format!("{} to {}", oldest.version(), newest.version()),
        [] => String::new(),
    }
}
