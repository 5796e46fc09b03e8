//! The rules of `wit/README.md`: every version has an adapter, frozen versions stay
//! unchanged, newer ones extend older ones, and components for all of them load.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flyball_decision::context::Context;
use flyball_decision::policy::Policy as _;
use flyball_decision::replica::ReplicaInput;
use flyball_sandbox::{CompiledPolicy, Contract, DEFAULT_BUDGET, Engine, EngineOptions, digest};
use wit_component::semver_check;
use wit_parser::{PackageId, Resolve, SourceMap, WorldId};

use crate::guest::Guest;

/// Digests of the frozen directories. A line here is never changed.
const FROZEN: &[(&str, &str)] = &[];

/// A version of the contract: the text of each file of its directory, by name.
#[derive(Clone)]
struct Version(BTreeMap<String, String>);

/// The draft as it was published last: what components out there are built against. It is
/// replaced only together with a line in CHANGELOG.md that says to rebuild policies.
fn candidate() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/contract/candidate")
}

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

impl Version {
    /// Reads the directory of a version.
    fn read(directory: &str) -> Self {
        Self::read_from(&wit().join(directory))
    }

    /// Reads a directory, which must contain only files.
    fn read_from(directory: &Path) -> Self {
        let entries = std::fs::read_dir(directory).unwrap();
        let file = |path: PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        };
        let paths = entries.map(|entry| entry.unwrap().path());
        Self(paths.map(file).collect())
    }

    /// Returns the version with `from`, which must occur in it, replaced by `to` at its
    /// first occurrence.
    fn altered(&self, from: &str, to: &str) -> Self {
        let mut altered = self.clone();
        let text = altered.0.get_mut("policy.wit").unwrap();
        assert!(text.contains(from), "no {from:?} in it");
        *text = text.replacen(from, to, 1);
        altered
    }

    fn with_file(&self, name: &str, text: &str) -> Self {
        let mut altered = self.clone();
        altered.0.insert(name.to_owned(), text.to_owned());
        altered
    }

    /// Returns the digest of the names and contents of all files.
    fn digest(&self) -> String {
        let files = self.0.iter();
        let files = files.map(|(name, text)| format!("{name} {}\n{text}", text.len()));
        digest(files.collect::<String>().as_bytes())
    }

    fn push(&self, resolve: &mut Resolve, edit: impl Fn(&str) -> String) -> PackageId {
        let mut sources = SourceMap::new();
        for (name, text) in &self.0 {
            sources.push_str(name, edit(text));
        }
        let group = sources.parse().map_err(|(_, error)| error).unwrap();
        resolve.push_group(group).unwrap()
    }
}

/// Checks that a component built for `old` fits `new`: each world of the old version
/// exists, with the same imports and exports, and these are compatible.
fn compatible(old: &Version, new: &Version) -> anyhow::Result<()> {
    let mut resolve = Resolve::default();
    let old = old.push(&mut resolve, str::to_owned);
    // Otherwise both packages would be one.
    let new = new.push(&mut resolve, |text| {
        text.replace("package flyball:policy@", "package flyball:policy@9")
    });
    for (name, &old) in &resolve.packages[old].worlds.clone() {
        let new = resolve.select_world(&[new], Some(name))?;
        // `semver_check` lets a world export less.
        let [before, after] = [old, new].map(|world| surface(&resolve, world));
        anyhow::ensure!(before == after, "{name}: {before:?} became {after:?}");
        semver_check(resolve.clone(), old, new)?;
    }
    Ok(())
}

/// Returns the imports and exports of a world, by name and without versions.
fn surface(resolve: &Resolve, world: WorldId) -> [BTreeSet<String>; 2] {
    let world = &resolve.worlds[world];
    [&world.imports, &world.exports].map(|items| {
        let names = items.keys().map(|key| resolve.name_world_key(key));
        let unversioned = names.map(|name| name.split('@').next().unwrap().to_owned());
        unversioned.collect()
    })
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
        let Version(files) = Version::read(contract.directory());
        assert!(
            files["policy.wit"].contains(&line),
            "{}: no `{line}`",
            contract.directory()
        );
    }
}

#[test]
fn frozen_versions_stay_as_they_are() {
    for (directory, frozen) in FROZEN {
        let digest = Version::read(directory).digest();
        assert_eq!(digest, *frozen, "wit/{directory} is frozen");
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
        let [older, newer] = [pair[0], pair[1]].map(|contract| contract.directory());
        compatible(&Version::read(older), &Version::read(newer)).unwrap();
    }
}

#[test]
fn the_draft_keeps_the_types_that_were_published() {
    let draft = Version::read("draft");
    compatible(&Version::read_from(&candidate()), &draft).unwrap_or_else(|error| {
        panic!("policies have to be rebuilt: {error:#}; see wit/README.md, \"Two builds\"")
    });
}

#[test]
fn the_checks_tell_additions_from_breaks() {
    let draft = Version::read("draft");
    compatible(&draft, &draft).unwrap();
    let breaks = [
        ("rows: list<s32>,", "rows: list<s64>,"),
        ("numbers: list<s64>,", ""),
        (
            "until-ms: list<s64>,",
            "until-ms: list<s64>,\n hint: list<u32>,",
        ),
        ("grace-ms: list<s64>,", "grace-ms: list<u32>,"),
        ("again-after-ms: option<u64>", "again-after-ms: u64"),
        ("min-replicas: s32,", "min-replicas: s32,\n surge: s32,"),
        ("current-replicas: s32,", "current-replicas: u32,"),
        ("import log;", ""),
        ("export expander;", ""),
        ("export replica;", "export replica;\n export expander;"),
        ("world expander-policy", "world expanding-policy"),
    ];
    for (from, to) in breaks {
        let broken = draft.altered(from, to);
        assert!(compatible(&draft, &broken).is_err(), "{from} → {to}");
    }

    let interface = "interface forecast { predict: func(at-ms: s64) -> f64; }\n\
        world forecaster { import log; export description; export forecast; }";
    let grown = draft.with_file("forecast.wit", interface);
    compatible(&draft, &grown).unwrap();
    assert!(compatible(&grown, &draft).is_err(), "a world taken away");
    let line = "log: func(level: u32, message: string);";
    let function = format!("{line}\n    enabled: func(level: u32) -> bool;");
    compatible(&draft, &draft.altered(line, &function)).unwrap();

    // Each of these is a change of a frozen version.
    let renamed = [("contract.wit".to_owned(), draft.0["policy.wit"].clone())];
    let renamed = Version(renamed.into());
    for changed in [grown, renamed, draft.altered("/// Why", "/// How")] {
        assert_ne!(changed.digest(), draft.digest());
    }
}

#[test]
fn a_component_built_for_each_version_loads_and_decides() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let versions = Contract::ALL
        .iter()
        .map(|contract| (contract, wit().join(contract.directory())));
    let published = (&Contract::Draft, candidate());
    for (contract, directory) in versions.chain([published]) {
        let bytes = Guest::default().build_for(&directory);
        let policy = CompiledPolicy::load(&engine, "guest", &bytes, DEFAULT_BUDGET).unwrap();
        assert_eq!(&*policy.version().contract, contract.version());
        let outcome = policy.decide(&Context::default(), &ReplicaInput::default());
        assert_eq!(outcome.answer.unwrap().replicas, Some(3));
    }
}
