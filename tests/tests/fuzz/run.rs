//! Runs a target on one case after another.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flyball_decision::text::MESSAGE_BYTES;

use crate::mutate::{Random, mutated};

/// Cases after which the memory is looked at.
const BATCH: u64 = 16;

/// Memory that a case may take, whatever its size.
const BASE_BYTES: u64 = 64 << 20;

/// One target runs at a time, since the memory is that of the process.
static ONE: Mutex<()> = Mutex::new(());

/// The inputs of a target.
pub struct Inputs {
    /// Inputs that come before the cases.
    corpus: Vec<Vec<u8>>,
    /// Makes the input of a case.
    make: Make,
    /// Number of cases without the variables that `cargo xtask fuzz` sets.
    cases: u64,
    /// Memory that a case may take for each of its bytes.
    bytes_per_byte: u64,
}

enum Make {
    /// Mutates the corpus.
    Mutate,
    Generate(fn(&mut Random) -> Vec<u8>),
}

impl Inputs {
    /// Real inputs and mutations of them.
    pub fn mutations(corpus: Vec<Vec<u8>>) -> Self {
        Self {
            corpus,
            make: Make::Mutate,
            cases: 400,
            bytes_per_byte: 256,
        }
    }

    /// Clusters that are made from numbers. They are large.
    pub fn clusters(generate: fn(&mut Random) -> Vec<u8>) -> Self {
        Self {
            corpus: Vec::new(),
            make: Make::Generate(generate),
            cases: 16,
            bytes_per_byte: 64,
        }
    }

    fn case(&self, seed: u64, case: u64) -> Vec<u8> {
        let random = &mut Random::of(seed, case);
        match self.make {
            Make::Mutate => mutated(&self.corpus, random),
            Make::Generate(generate) => generate(random),
        }
    }
}

/// Reads an input. Returns an error as users see it.
pub type Target = fn(&[u8]) -> Result<(), String>;

/// Runs a target.
pub fn fuzz(name: &str, inputs: &Inputs, target: Target) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |variable: &str| Some(std::env::var(variable).ok()?.parse::<u64>().unwrap());
    let seed = number("FLYBALL_FUZZ_SEED").unwrap_or(0);
    if let Some(case) = number("FLYBALL_FUZZ_CASE") {
        let input = inputs.case(seed, case);
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}.input"));
        fs::write(&file, &input).unwrap();
        println!(
            "{name}: case {case} of seed {seed} is in {}",
            file.display()
        );
        check(name, target, &input);
        return;
    }
    for input in &inputs.corpus {
        check(name, target, input);
    }
    let end = number("FLYBALL_FUZZ_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    let last = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}")));
    let last = last.unwrap();
    let (mut case, mut used, mut largest) = (0, Peak::reset(), 0);
    while end.map_or(case < inputs.cases, |end| Instant::now() < end) {
        // A case that ends the process can be repeated as well.
        let line = format!("{seed} {case:<20}\n");
        last.write_all_at(line.as_bytes(), 0).unwrap();
        let input = inputs.case(seed, case);
        largest = largest.max(u64::try_from(input.len()).unwrap());
        let checked = catch_unwind(AssertUnwindSafe(|| check(name, target, &input)));
        assert!(
            checked.is_ok(),
            "repeat it with `cargo xtask fuzz {name} --seed {seed} --case {case}`"
        );
        case += 1;
        if case % BATCH == 0 {
            let bytes = used.bytes();
            assert!(
                bytes <= BASE_BYTES + inputs.bytes_per_byte * largest,
                "{name}: one of the cases {}..{case} of seed {seed} takes {bytes} bytes of memory",
                case - BATCH
            );
            (used, largest) = (Peak::reset(), 0);
        }
    }
    println!("{name}: {case} cases of seed {seed}");
}

/// Runs a target on an input, and checks its message.
fn check(name: &str, target: Target, input: &[u8]) {
    let Err(message) = target(input) else { return };
    let bytes = message.len();
    assert!(bytes <= MESSAGE_BYTES, "{name}: a message of {bytes} bytes");
    let steers = message.chars().any(|c| c.is_control() && c != '\n');
    assert!(!steers, "{name}: control characters in {message:?}");
}

/// The peak of this process's memory since a moment.
struct Peak {
    before: u64,
}

impl Peak {
    /// Begins anew.
    fn reset() -> Self {
        // Resets the peak (proc_pid_clear_refs(5)).
        fs::write("/proc/self/clear_refs", "5").unwrap();
        Self {
            before: status("VmRSS:"),
        }
    }

    /// Returns the memory that was taken since, at most.
    fn bytes(&self) -> u64 {
        status("VmHWM:").saturating_sub(self.before)
    }
}

fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .unwrap();
    kib.parse::<u64>().unwrap() << 10
}
