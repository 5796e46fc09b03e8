//! Errors of loading and configuring policies. Operators and authors read the messages;
//! the caller adds the policy's name.

use std::path::{Path, PathBuf};

use flyball_decision::policy::PolicyFailure;
use flyball_decision::text::{self, NOTE_BYTES, note, readable, within};
use serde::{Deserialize, Serialize};

/// Maximum size of a reason that is part of an error.
const REASON_BYTES: usize = 900;

/// Maximum size of a path in an error.
const PATH_BYTES: usize = 256;

/// Error of setting up the engine or its private directory.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused its settings.
    #[error("cannot set up the wasm engine: {0}")]
    Setup(String),
    /// A private directory could not be used.
    #[error("cannot use the private directory {path}: {reason}", path = path.display())]
    PrivateDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Error of setting up the registry or adding a policy to it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A thread could not be started or a private directory not be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A policy that is required is not usable.
    #[error("policy `{name}`: {error}")]
    Policy {
        /// Its name.
        name: String,
        /// What is wrong with it.
        error: LoadError,
    },
    /// A file without the extension `.wasm`.
    #[error("{} is no policy's file: its name must end in .wasm", .0.display())]
    NotAPolicyFile(PathBuf),
}

/// Why bytes did not become the active version of a policy. A compiling child returns its
/// errors in serialized form; variants that are skipped never occur there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {path}: {reason}", path = shown(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's message.
        reason: String,
    },
    /// The file's stem is not a valid policy name.
    #[error(
        "`{0}` is no name for a policy: use 1 to 63 lower-case letters, digits, `-`, `_` and `.`, \
         and begin with a letter or a digit"
    )]
    BadName(String),
    /// Two files claim one name.
    #[error("two files claim the policy's name: {}; remove or rename one", list(.0))]
    DuplicateFiles(Vec<PathBuf>),
    /// Larger than the host accepts.
    #[error("{size} bytes are too many: at most {limit} are allowed for a policy")]
    TooLarge {
        /// Size of the file.
        size: u64,
        /// Largest size allowed.
        limit: u64,
    },
    /// No WebAssembly at all.
    #[error("not WebAssembly: a policy is a component, made by `flyball policy build`")]
    NotWasm,
    /// A core module.
    #[error(
        "a WebAssembly core module, not a component: build it with `flyball policy build`, or \
         convert it with `wasm-tools component new`"
    )]
    CoreModule,
    /// The bytes end early.
    #[error(
        "truncated at byte {offset}: the file is incomplete (still being copied?); copy it to \
         another name and rename it"
    )]
    Truncated {
        /// Where the bytes end.
        offset: u64,
    },
    /// The content differs from what was found before.
    #[error("it changed while it was read; copy it to another name and rename it")]
    Changed,
    /// The compiler ran out of memory.
    #[error(
        "compiling it takes more than {} MiB of memory: raise --policy-compile-memory, and the \
         memory limit of the daemon's container with it",
        limit >> 20
    )]
    CompileMemory {
        /// Private memory that all compiling children may have, in bytes.
        limit: u64,
    },
    /// The compiler ran for too long.
    #[error(
        "compiling it takes more than {seconds} s of CPU time: build it smaller, or raise \
         --policy-compile-time"
    )]
    CompileTime {
        /// CPU time that compiling a policy may take, in seconds.
        seconds: u64,
    },
    /// The compiler found no memory beside other policies that were being compiled.
    #[error(
        "there was too little memory to compile it beside other policies: it is tried again; \
         raise --policy-compile-memory if that goes on"
    )]
    CompileMemoryShared,
    /// The compiled code is too large.
    #[error("compiling it gives more than {} MiB of code: build it smaller", limit >> 20)]
    CodeTooLarge {
        /// Largest code accepted, in bytes.
        limit: u64,
    },
    /// The process that compiled it ended without an answer.
    #[error("its compiler ended: {0}")]
    CompilerEnded(String),
    /// The process that compiled it was killed from outside.
    #[error(
        "its compiler ended: it was killed; if that was the kernel, the container's memory limit \
         is too low"
    )]
    CompilerKilled,
    /// The process to compile it, or the engine in the process, could not be started.
    #[error("cannot start the compiler: {0}")]
    CompilerNotStarted(String),
    /// Not a valid component.
    #[error("not a valid component: {message} (at byte {offset:#x})")]
    Invalid {
        /// What is wrong.
        message: String,
        /// Where.
        offset: u64,
    },
    /// A component that is not a policy.
    #[error("a component, but no policy: it exports nothing of flyball:policy")]
    NotAPolicy,
    /// Built for a contract that this host does not know.
    #[error(
        "built for flyball:policy@{found}, this host supports {supported}: rebuild it with a \
         flyball-policy SDK for one of them"
    )]
    UnsupportedContract {
        /// The version it was built for.
        found: String,
        /// The versions the host knows.
        supported: String,
    },
    /// Parts of it were built for different versions.
    #[error("built for several versions of flyball:policy at once ({0}): rebuild it for one")]
    MixedContracts(String),
    /// It imports or exports something that policies may not.
    #[error(
        "it imports {}: a policy may import nothing but flyball:policy/log (no WASI, no clock, no \
         randomness, no network); for Rust, build for wasm32-unknown-unknown",
        .0.join(", ")
    )]
    UnknownImports(Vec<String>),
    /// A required interface is missing.
    #[error("it exports no flyball:policy/{0}: {hint}", hint = missing_hint(.0))]
    MissingExport(String),
    /// It could not be compiled.
    #[error("cannot be compiled: {0}")]
    Compile(String),
    /// Its imports or exports have other types than the contract.
    #[error("does not fit flyball:policy@{contract}: {message}")]
    Link {
        /// The contract's version.
        contract: String,
        /// What does not fit.
        message: String,
    },
    /// It failed while describing itself.
    #[serde(skip)]
    #[error("failed while describing itself: {failure}{}", after_log_line(.last_log_line))]
    Describe {
        /// How it failed.
        failure: PolicyFailure,
        /// The last line that it logged; empty if it logged none.
        last_log_line: String,
    },
    /// Its description is not usable.
    #[serde(skip)]
    #[error("its description is not usable: {field} {message}")]
    Description {
        /// The field at fault.
        #[serde(skip)]
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// It would break a configuration in use.
    #[serde(skip)]
    #[error("a configuration in use does not fit its schema ({digest}): {message}")]
    Configuration {
        /// Digest of the configuration.
        digest: String,
        /// What does not fit.
        message: String,
    },
    /// It fails on inputs of earlier decisions.
    #[error(
        "fails on recorded inputs of every namespace that it was tried on ({namespaces}; {failed} \
         of {inputs} inputs), such as for {object}: {failure}"
    )]
    Recorded {
        /// The namespaces.
        namespaces: String,
        /// Inputs that it failed on.
        failed: usize,
        /// Inputs for which the previous version has an answer.
        inputs: usize,
        /// The first object for which it failed.
        object: String,
        /// How it failed for that one.
        failure: PolicyFailure,
    },
    /// The same content was refused earlier, because it failed on recorded inputs.
    #[error("{0}")]
    RefusedBefore(String),
    /// Another error, whose text was too long, or had characters that are no text.
    #[error("{0}")]
    Shortened(String),
    /// The same content was rolled back.
    #[error("rolled back: {0}; the file is refused until it changes")]
    RolledBack(String),
    /// It fails on a trial decision.
    #[serde(skip)]
    #[error("failed its canary decision{}: {failure}", for_configuration(.configuration))]
    Canary {
        /// Digest of the configuration it was tried with. Empty for the empty one.
        configuration: String,
        /// How it failed.
        failure: PolicyFailure,
    },
}

impl LoadError {
    /// Reports whether the same bytes may be accepted at another time, because the cause
    /// is external, for example the clock on an overloaded machine.
    pub(crate) fn may_pass(&self) -> bool {
        self.lacked_a_compiler()
            || matches!(
                self,
                Self::Changed
                    | Self::Unreadable { .. }
                    | Self::Describe {
                        failure: PolicyFailure::Interrupted(_),
                        ..
                    }
                    | Self::Recorded {
                        failure: PolicyFailure::Interrupted(_),
                        ..
                    }
                    | Self::Canary {
                        failure: PolicyFailure::Interrupted(_),
                        ..
                    }
            )
    }

    /// Shortens an error. A component chooses names and messages that are in it, and it is
    /// kept, and repeated for each object that names the policy.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let text = self.to_string();
        match &mut self {
            Self::RolledBack(reason) | Self::RefusedBefore(reason) => {
                readable(reason, REASON_BYTES);
            }
            // Conditions of objects show other text for these variants, so the variant stays.
            Self::Configuration { message, .. } => {
                let bytes = room(&text, message);
                readable(message, bytes);
            }
            Self::Canary { failure, .. } | Self::Recorded { failure, .. } => {
                let bytes = room(&text, failure.message());
                failure.shorten(bytes);
            }
            // What is in these is bounded where it is made.
            error if error.may_pass() => {}
            error => {
                let short = note(&*text);
                if short != text {
                    *error = Self::Shortened(short);
                }
            }
        }
        self
    }

    /// Returns the error for conditions of objects: without what is known of objects of
    /// other namespaces.
    pub(crate) fn for_objects(&self) -> String {
        match self {
            Self::Configuration { digest, .. } => {
                format!("a configuration in use does not fit its schema ({digest})")
            }
            Self::Canary {
                configuration,
                failure,
            } => {
                let code = failure.code();
                let with = for_configuration(configuration);
                format!("failed its canary decision{with}: {code}")
            }
            Self::Recorded { failure, .. } => {
                format!("fails on recorded inputs: {}", failure.code())
            }
            Self::RefusedBefore(_) => "it failed on recorded inputs before".to_owned(),
            error => error.to_string(),
        }
    }

    /// Reports whether the machine, and not the bytes, prevented compilation. Another
    /// attempt needs a compiler again, so it should be delayed.
    pub(crate) fn lacked_a_compiler(&self) -> bool {
        matches!(
            self,
            Self::CompilerKilled | Self::CompilerNotStarted(_) | Self::CompileMemoryShared
        )
    }
}

/// Why a policy can't be rolled back manually.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// The private directory can't be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The private directory can't be written.
    #[error("cannot write to {path}: {reason}", path = path.display())]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No file has been active under that name.
    #[error("no file has decided as policy `{0}`: there is nothing to roll back")]
    NoFile(String),
    /// The file is the first version of its name.
    #[error("policy `{0}` has no version before: delete its file to retire it")]
    NoVersionBefore(String),
    /// The file's content is already refused, and no earlier version is kept.
    #[error("the file of policy `{0}` is refused already, and no version before is kept")]
    AlreadyRefused(String),
}

/// Why a configuration does not fit the policy's schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    NotAnObject(String),
    /// The policy takes no configuration.
    #[error("the policy takes no configuration, but `{0}` is set")]
    TakesNone(String),
    /// A field is wrong.
    #[error("`{path}`: {message}")]
    Field {
        /// JSON pointer of the field; `/` for the whole configuration.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// The check itself panicked.
    #[error("{configuration} cannot be checked: {panic}")]
    NotCheckable {
        /// The beginning of the configuration.
        configuration: String,
        /// The panic's message.
        panic: String,
    },
}

/// Returns the bytes that a part of an error's text may have, so that the text has at most
/// [`NOTE_BYTES`].
fn room(text: &str, part: &str) -> usize {
    let others = text.len().saturating_sub(part.len());
    NOTE_BYTES.saturating_sub(others)
}

fn list(paths: &[PathBuf]) -> String {
    let names = paths.iter().map(|path| shown(path));
    text::list(names, paths.len(), " and ", REASON_BYTES)
}

/// Returns a path as text: whoever may write a file chooses its name.
fn shown(path: &Path) -> String {
    within(path.display().to_string(), PATH_BYTES)
}

fn missing_hint(interface: &str) -> &'static str {
    match interface {
        "description" => "every policy describes itself",
        _ => "a policy is of one of these kinds, or of both",
    }
}

fn after_log_line(last_log_line: &str) -> String {
    match last_log_line {
        "" => String::new(),
        _ => format!("; it said: {last_log_line}"),
    }
}

fn for_configuration(configuration: &str) -> String {
    match configuration {
        "" => String::new(),
        digest => format!(" with the configuration {digest}"),
    }
}
