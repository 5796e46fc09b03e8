//! Fuzz targets for everything that is read from outside: inputs of policies, users, tenants
//! and servers, read by the functions that the daemon and the commands use.
//!
//! Reading an input must not panic, must not take memory out of proportion to the input's
//! size, and must not return an error beyond the limits on messages. `cargo xtask fuzz` runs
//! a target under libFuzzer, on inputs that it derives from [`Target::seeds`] and from the
//! corpus. `cargo xtask test` reads each seed and each input of the corpus once.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a fuzz target reports a fault"
)]

mod crowds;
mod mutate;
mod readers;
mod run;
mod seeds;

pub use mutate::mutated;
pub use run::Run;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use self::readers::Read;

/// One of the things that are read from outside.
#[derive(Debug)]
pub struct Target {
    /// Name of the target, and of the folder of its corpus.
    pub name: &'static str,
    kind: Kind,
    seeds: fn() -> Vec<Vec<u8>>,
    /// Memory in bytes that reading may take for each byte of a text.
    memory_for_each_byte: u64,
}

/// What the bytes of an input are.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// What is read, by this function.
    Bytes(Read),
    /// The random numbers from which a crowd is made.
    Crowd,
}

const fn bytes(name: &'static str, read: Read, seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target {
        name,
        kind: Kind::Bytes(read),
        seeds,
        memory_for_each_byte: 256,
    }
}

/// All targets.
pub static TARGETS: [Target; 10] = [
    Target {
        memory_for_each_byte: 64,
        ..bytes("autoscalers", readers::autoscalers, Vec::new)
    },
    bytes("components", readers::components, seeds::components),
    Target {
        name: "crowds",
        kind: Kind::Crowd,
        seeds: crowds::seeds,
        memory_for_each_byte: 64,
    },
    bytes("dumps", readers::dumps, Vec::new),
    bytes("metrics", readers::metrics, seeds::metrics),
    bytes("quantities", readers::quantities, Vec::new),
    bytes("records", readers::records, seeds::records),
    bytes("scenarios", readers::scenarios, seeds::scenarios),
    bytes("schemas", readers::schemas, Vec::new),
    bytes("selectors", readers::selectors, Vec::new),
];

impl Target {
    /// Returns the target of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Returns inputs that are made of the examples and the vectors.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }

    /// Returns the folder of inputs that are in the repository.
    pub fn corpus(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(self.name)
    }

    /// Whether an input is read as it is, so that mutations of text fit it.
    pub fn reads_bytes(&self) -> bool {
        matches!(self.kind, Kind::Bytes(_))
    }

    /// Returns what is read for an input, and by what.
    fn made<'a>(&self, input: &'a [u8]) -> (Cow<'a, [u8]>, Read) {
        match self.kind {
            Kind::Bytes(read) => (Cow::Borrowed(input), read),
            Kind::Crowd => {
                let (text, read) = crowds::made(input);
                (Cow::Owned(text), read)
            }
        }
    }

    /// Memory in bytes that reading a text of `size` bytes may take.
    fn max_memory(&self, size: usize) -> u64 {
        (64 << 20) + self.memory_for_each_byte * u64::try_from(size).unwrap()
    }
}
