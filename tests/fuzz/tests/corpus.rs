//! Reads the seeds and the corpus of each fuzz target.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use flyball_fuzz::{Run, TARGETS, Target};

/// One target runs at a time, since the memory is that of the process.
static ONE: Mutex<()> = Mutex::new(());

fn read_all(name: &str) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let target = Target::named(name).unwrap();
    let files = fs::read_dir(target.corpus()).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no corpus");
    let memory_fault = Path::new(env!("CARGO_TARGET_TMPDIR")).join("memory-fault");
    let mut run = Run::of(target, memory_fault);
    for file in files {
        run.read(&fs::read(file).unwrap());
    }
    for seed in target.seeds() {
        run.read(&seed);
    }
    run.check_memory();
}

macro_rules! targets {
    ($($name:ident,)*) => {
        /// Each of these is a test.
        const NAMES: &[&str] = &[$(stringify!($name),)*];

        $(
            #[test]
            fn $name() {
                read_all(stringify!($name));
            }
        )*
    };
}

targets! {
    autoscalers,
    components,
    crowds,
    dumps,
    metrics,
    quantities,
    records,
    scenarios,
    schemas,
    selectors,
}

#[test]
fn each_target_has_a_test() {
    assert_eq!(TARGETS.each_ref().map(|target| target.name), NAMES);
}
