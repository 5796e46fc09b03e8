//! The program that `cargo xtask fuzz` runs: libFuzzer on one target.
//!
//! `FLYBALL_FUZZ_TARGET` names the target, `FLYBALL_FUZZ_SEEDS` a folder to write its seeds
//! to, `FLYBALL_FUZZ_MEMORY_FAULT` a file for an input that takes too much memory. The
//! arguments are those of libFuzzer.
#![no_main]
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a fuzz target reports a fault"
)]

use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::{env, fs};

use flyball_fuzz::{Run, Target, mutated};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = env::var("FLYBALL_FUZZ_TARGET").unwrap();
    Target::named(&name).unwrap_or_else(|| panic!("there is no target {name}"))
});

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| TARGET.seeds());

static RUN: LazyLock<Mutex<Run>> =
    LazyLock::new(|| Mutex::new(Run::of(*TARGET, path("FLYBALL_FUZZ_MEMORY_FAULT"))));

fn path(variable: &str) -> PathBuf {
    env::var_os(variable).unwrap().into()
}

/// Writes the seeds to where libFuzzer reads them.
fn write_seeds() {
    let folder = path("FLYBALL_FUZZ_SEEDS");
    for (number, seed) in SEEDS.iter().enumerate() {
        fs::write(folder.join(number.to_string()), seed).unwrap();
    }
}

fuzz_target!(init: write_seeds(), |input: &[u8]| {
    RUN.lock().unwrap_or_else(PoisonError::into_inner).read(input);
});

// libFuzzer's own mutations are of bytes; half of them are of text and nesting instead.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed.is_multiple_of(2) || !TARGET.reads_bytes() {
        return fuzzer_mutate(data, size, max_size);
    }
    let mutation = mutated(&data[..size], &SEEDS, max_size, seed);
    data[..mutation.len()].copy_from_slice(&mutation);
    mutation.len()
});
