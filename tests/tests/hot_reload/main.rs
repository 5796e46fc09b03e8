//! Policies that are added, changed, broken and removed while the daemon decides: the
//! registry on a real directory with the operating system's notifications, and guests
//! compiled from source.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod any_bytes;
mod compiling;
mod decisions;
mod files;
mod rollbacks;
mod trials;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use flyball_decision::context::Context;
use flyball_decision::policy::{PolicyEngine as _, PolicyFailure, PolicyOutcome, kind};
use flyball_decision::replica::ReplicaInput;
use flyball_decision::time::Timestamp;
use flyball_sandbox::{
    CompilerOptions, Engine, EngineOptions, PolicyEvent, PolicyState, PolicyStatus, Registry,
    RegistryOptions,
};
use flyball_test_support::wait_for;
use flyball_tests::guests::{self, Components};

const DEBOUNCE: Duration = Duration::from_millis(50);

const WAIT_TIMEOUT: Duration = Duration::from_secs(600);

/// The answer of the built-in policy: one more than no ready replica.
const BUILT_IN: i64 = 1;

/// A policies directory, the daemon's private directory, and files to copy into the
/// first.
struct Home {
    root: tempfile::TempDir,
    plain: Arc<Components>,
    hostile: Arc<Components>,
    contract: Arc<Components>,
}

impl Home {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("policies")).unwrap();
        Self {
            root,
            plain: guests::components("plain").unwrap(),
            hostile: guests::components("hostile").unwrap(),
            contract: guests::components("contract").unwrap(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("policies").join(name)
    }

    /// Copies a file properly: under another name, then renamed.
    fn put(&self, name: &str, bytes: &[u8]) {
        let copy = self.root.path().join("copy");
        fs::write(&copy, bytes).unwrap();
        fs::rename(&copy, self.file(name)).unwrap();
    }

    /// Starts a registry that reads the directory only when the operating system reports
    /// a change, for a day.
    fn start(&self) -> Registry {
        self.start_with(|_| {})
    }

    /// Starts a registry with other options.
    fn start_with(&self, change: impl FnOnce(&mut RegistryOptions)) -> Registry {
        // Enough for any well-behaved guest on a busy machine.
        let compiler = CompilerOptions {
            cpu: Duration::from_secs(10),
            ..compiler()
        };
        self.start_compiling(compiler, change)
    }

    /// Starts a registry with other limits on compilers.
    fn start_compiling(
        &self,
        compiler: CompilerOptions,
        change: impl FnOnce(&mut RegistryOptions),
    ) -> Registry {
        let registry = self.open(compiler, change);
        registry.rescan();
        registry
    }

    /// Opens the registry without waiting until all files are judged.
    fn open(
        &self,
        compiler: CompilerOptions,
        change: impl FnOnce(&mut RegistryOptions),
    ) -> Registry {
        let engine = Engine::new(&EngineOptions {
            cache_directory: Some(self.root.path().join("compiled")),
            compiler: Some(compiler),
            ..EngineOptions::default()
        });
        let mut options = RegistryOptions {
            directory: Some(self.root.path().join("policies")),
            last_good_directory: Some(self.root.path().join("last-good")),
            debounce: DEBOUNCE,
            rescan: Duration::from_secs(86_400),
            ..RegistryOptions::default()
        };
        change(&mut options);
        let builtins: [(&str, &[u8]); 1] = [("hpa", &self.contract["draft"])];
        let registry = Registry::open(&engine.unwrap(), options, &builtins).unwrap();
        registry.set_configurations_in_use(BTreeMap::new());
        registry
    }
}

/// Returns options for children of a program that only compiles.
fn compiler() -> CompilerOptions {
    CompilerOptions {
        // Independent of the machine's cgroup.
        memory_bytes: Some(256 << 20),
        ..CompilerOptions::program(env!("CARGO_BIN_EXE_flyball-compile").into())
    }
}

fn ask(registry: &Registry, name: &str) -> Result<i64, PolicyFailure> {
    ask_at(registry, name, Timestamp(0), 1)
}

fn ask_at(
    registry: &Registry,
    name: &str,
    now: Timestamp,
    current_replicas: i32,
) -> Result<i64, PolicyFailure> {
    let context = Context {
        now,
        ..Context::default()
    };
    let input = ReplicaInput {
        current_replicas,
        ..ReplicaInput::default()
    };
    let PolicyOutcome { answer, .. } = registry
        .policy(kind::REPLICA, name)?
        .decide(&context, &input);
    Ok(answer?.replicas.unwrap())
}

fn status(registry: &Registry, name: &str) -> Option<PolicyStatus> {
    registry
        .status()
        .into_iter()
        .find(|status| status.name == name)
}

fn reason(registry: &Registry, name: &str) -> Option<String> {
    match status(registry, name)?.state {
        PolicyState::Failed { reason } => Some(reason),
        _ => None,
    }
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    wait_for(what, WAIT_TIMEOUT, || Ok(holds().then_some(()))).unwrap();
}

/// Receives at least this many events, and those that have arrived meanwhile. An event is
/// published after the change that it reports can be seen.
fn published(events: &Receiver<PolicyEvent>, count: usize) -> Vec<PolicyEvent> {
    let mut published: Vec<PolicyEvent> = (0..count)
        .map(|_| events.recv_timeout(WAIT_TIMEOUT).unwrap())
        .collect();
    published.extend(events.try_iter());
    published
}

/// Waits until the name's file is refused for a reason that contains this text.
fn wait_for_failure(registry: &Registry, name: &str, words: &str) {
    wait_until(&format!("{name}: {words}"), || {
        reason(registry, name).is_some_and(|reason| reason.contains(words))
    });
}

fn wait_for_answer(registry: &Registry, name: &str, replicas: i64) {
    wait_until(&format!("{name} to answer {replicas}"), || {
        let state = status(registry, name).map(|status| status.state);
        ask(registry, name) == Ok(replicas) && state == Some(PolicyState::Active)
    });
}
