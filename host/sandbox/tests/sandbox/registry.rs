//! Policies swapped while they decide: files that are added, changed, broken and removed,
//! and restarts.

mod configurations;
mod files;
mod health;
mod restarts;
mod tenants;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flyball_decision::context::Context;
use flyball_decision::policy::{PolicyEngine as _, PolicyFailure, kind};
use flyball_decision::replica::ReplicaInput;
use flyball_decision::time::Timestamp;
use flyball_sandbox::{
    Engine, EngineOptions, PolicyState, PolicyStatus, Registry, RegistryOptions,
};

use crate::guest::Guest;

/// A directory of policies, and the daemon's private directory.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(home.policies()).unwrap();
        home
    }

    fn policies(&self) -> std::path::PathBuf {
        self.0.path().join("policies")
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.policies().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.file(name), bytes).unwrap();
    }

    fn start(&self, rescan: Duration) -> Registry {
        self.start_with(rescan, |_| {})
    }

    fn start_with(&self, rescan: Duration, change: impl FnOnce(&mut RegistryOptions)) -> Registry {
        let engine = Engine::new(&EngineOptions {
            cache_directory: Some(self.0.path().join("compiled")),
            ..EngineOptions::default()
        });
        let mut options = RegistryOptions {
            directory: Some(self.policies()),
            last_good_directory: Some(self.0.path().join("last-good")),
            debounce: Duration::from_millis(50),
            rescan,
            ..RegistryOptions::default()
        };
        change(&mut options);
        let builtin = replicas(1);
        Registry::open(&engine.unwrap(), options, &[("hpa", &builtin)]).unwrap()
    }

    /// The configurations in use are not known yet.
    fn restart(&self) -> Registry {
        let registry = self.start(Duration::from_secs(3600));
        registry.rescan();
        registry
    }

    fn open(&self) -> Registry {
        let registry = self.restart();
        registry.set_configurations_in_use(BTreeMap::new());
        registry.rescan();
        registry
    }
}

fn replicas(n: i64) -> Vec<u8> {
    Guest {
        replicas: Some(n),
        ..Guest::default()
    }
    .build()
}

fn ask_at(registry: &Registry, name: &str, seconds: i64) -> Result<Option<i64>, PolicyFailure> {
    let context = Context {
        now: Timestamp(seconds * 1000),
        ..Context::default()
    };
    let policy = registry.policy(kind::REPLICA, name)?;
    policy
        .decide(&context, &ReplicaInput::default())
        .answer
        .map(|decision| decision.replicas)
}

fn ask(registry: &Registry, name: &str) -> Option<i64> {
    ask_at(registry, name, 0).unwrap()
}

fn status(registry: &Registry, name: &str) -> PolicyStatus {
    registry
        .status()
        .into_iter()
        .find(|status| status.name == name)
        .unwrap()
}

fn reason(registry: &Registry, name: &str) -> String {
    match status(registry, name).state {
        PolicyState::Failed { reason } => reason,
        other => panic!("{name} is {other:?}"),
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(600),
            "never came: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
