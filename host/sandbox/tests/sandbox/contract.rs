//! The rules of `wit/README.md`: every version has its adapter, frozen ones stay as
//! they are, newer ones go on from older ones, and all of them load.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flyball_core::policy::{Policy as _, ReplicaPolicy as _};
use flyball_core::replica::{Context, ReplicaInput};
use flyball_sandbox::{CompiledPolicy, Contract, DEFAULT_BUDGET, Engine, EngineOptions, digest};
use wit_component::semver_check;
use wit_parser::Resolve;

use crate::guest::Guest;

/// Digests of the frozen directories' files. A line here is never changed.
const FROZEN: &[(&str, &str)] = &[];

const WORLDS: [&str; 3] = ["replica-policy", "expander-policy", "scale-down-policy"];

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

fn text(directory: &str) -> String {
    std::fs::read_to_string(wit().join(directory).join("policy.wit")).unwrap()
}

/// Whether components built for `old` fit `new`, in all worlds of the contract.
fn compatible(old: &str, new: &str) -> anyhow::Result<()> {
    for world in WORLDS {
        let mut resolve = Resolve::default();
        // Two packages of one version would be one package.
        let new = new.replacen("package flyball:policy@", "package flyball:policy@9", 1);
        let old = resolve.push_source("old.wit", old)?;
        let new = resolve.push_source("new.wit", &new)?;
        let old = resolve.select_world(&[old], Some(world))?;
        let new = resolve.select_world(&[new], Some(world))?;
        semver_check(resolve, old, new)?;
    }
    Ok(())
}

#[test]
fn every_directory_has_an_adapter() {
    let entries = std::fs::read_dir(wit())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let directories: BTreeSet<String> = entries
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let adapters: BTreeSet<String> = Contract::ALL
        .iter()
        .map(|contract| contract.directory().to_owned())
        .collect();
    assert_eq!(directories, adapters);
    for contract in Contract::ALL {
        let line = format!("package flyball:policy@{};", contract.version());
        assert!(
            text(contract.directory()).contains(&line),
            "{}: no `{line}`",
            contract.directory()
        );
    }
}

#[test]
fn frozen_versions_stay_as_they_are() {
    for (directory, frozen) in FROZEN {
        assert_eq!(
            digest(text(directory).as_bytes()),
            *frozen,
            "wit/{directory} is frozen"
        );
    }
    let released = Contract::ALL
        .iter()
        .filter(|contract| !contract.version().contains('-'));
    for contract in released {
        let directory = contract.directory();
        assert!(
            FROZEN.iter().any(|(one, _)| *one == directory),
            "note the digest of {directory}"
        );
    }
}

#[test]
fn newer_versions_go_on_from_older_ones() {
    for pair in Contract::ALL.windows(2) {
        compatible(&text(pair[0].directory()), &text(pair[1].directory())).unwrap();
    }
}

#[test]
fn the_check_tells_additions_from_breaks() {
    let draft = text("draft");
    compatible(&draft, &draft).unwrap();

    let field = draft.replacen(
        "min-replicas: s32,",
        "min-replicas: s32,\n        surge: s32,",
        1,
    );
    assert_ne!(field, draft);
    assert!(
        compatible(&draft, &field).is_err(),
        "a field added to a record"
    );
    let kind = draft.replacen("current-replicas: s32,", "current-replicas: u32,", 1);
    assert_ne!(kind, draft);
    assert!(
        compatible(&draft, &kind).is_err(),
        "another type of a field"
    );
    let import = draft.replacen("import log;", "", 1);
    assert!(compatible(&draft, &import).is_err(), "an import taken away");

    let interface = "interface forecast { predict: func(at-ms: s64) -> f64; }\n\
        world forecaster { import log; export description; export forecast; }";
    compatible(&draft, &format!("{draft}\n{interface}\n")).unwrap();
    let function = draft.replacen(
        "log: func(level: u32, message: string);",
        "log: func(level: u32, message: string);\n    enabled: func(level: u32) -> bool;",
        1,
    );
    assert_ne!(function, draft);
    compatible(&draft, &function).unwrap();
}

#[test]
fn a_component_built_for_each_version_loads_and_decides() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    for contract in Contract::ALL {
        let bytes = Guest::default().build_for(&wit().join(contract.directory()));
        let policy = CompiledPolicy::load(&engine, "guest", &bytes, DEFAULT_BUDGET).unwrap();
        assert_eq!(&*policy.version().contract, contract.version());
        let outcome = policy.decide(&Context::default(), &ReplicaInput::default());
        assert_eq!(outcome.answer.unwrap().replicas, Some(3));
    }
}
