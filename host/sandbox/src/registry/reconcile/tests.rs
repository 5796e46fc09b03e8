//! A directory that changes while it is read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::thread;
use std::time::Duration;

use crate::engine::{Engine, EngineOptions};
use crate::registry::watch::{self, Notices};
use crate::registry::{PolicyEvent, PolicyState, Registry, RegistryOptions};

#[test]
fn a_file_that_is_removed_while_the_directory_is_read_is_not_refused() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let registry = Registry::open(&engine, RegistryOptions::default(), &[]).unwrap();
    let events = registry.subscribe();
    let directory = tempfile::tempdir().unwrap();
    let found = |name: &str| {
        let path = directory.path().join(format!("{name}.wasm"));
        BTreeMap::from([(name.to_owned(), vec![path])])
    };
    let (notices, _kept) = Notices::open();

    registry.shared.reconcile(&found("removed"), &notices);
    assert!(events.try_recv().is_err());
    let refused = |status: &crate::PolicyStatus| match &status.state {
        PolicyState::Failed { .. } => Some(status.name.clone()),
        _ => None,
    };
    let all_refused = || {
        registry
            .status()
            .iter()
            .filter_map(refused)
            .collect::<Vec<_>>()
    };
    assert!(all_refused().is_empty());

    // A link to a missing file is there, and cannot be read.
    let link = directory.path().join("link.wasm");
    symlink(directory.path().join("missing"), &link).unwrap();
    registry.shared.reconcile(&found("link"), &notices);
    let event = events.try_recv().unwrap();
    assert!(matches!(event, PolicyEvent::Failed { .. }), "{event}");
    assert_eq!(all_refused(), ["link"]);
}

#[test]
fn a_read_of_the_directory_that_hangs_is_noticed() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = RegistryOptions {
        directory: Some(directory.path().to_owned()),
        ..RegistryOptions::default()
    };
    let registry = Registry::open(&engine, options, &[]).unwrap();
    registry.rescan();
    // The next read waits for it.
    let loading = registry.shared.loading();
    let settled = registry.begin_rescan().unwrap();
    let is_noticed = || {
        thread::sleep(Duration::from_millis(10));
        flyball_tasks::hanging().contains(&watch::NAME)
    };
    assert!((0..6_000).any(|_| is_noticed()));
    drop(loading);
    settled.recv().unwrap();
}
