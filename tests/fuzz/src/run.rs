//! Runs a target on one input after another.

use std::fs;
use std::path::PathBuf;

use flyball_decision::text::MESSAGE_BYTES;

use crate::Target;

/// Number of inputs after which the memory is looked at.
const BATCH: usize = 16;

/// Runs of one target in this process.
#[derive(Debug)]
pub struct Run {
    target: &'static Target,
    /// Where an input that takes too much memory is written.
    memory_fault: PathBuf,
    /// The inputs since the memory was looked at.
    batch: Vec<Vec<u8>>,
    /// Memory that any of them may take.
    allowed: u64,
    peak: Peak,
}

impl Run {
    /// Starts the runs of a target. An input that takes too much memory is written to a file.
    pub fn of(target: &'static Target, memory_fault: PathBuf) -> Self {
        Self {
            target,
            memory_fault,
            batch: Vec::new(),
            allowed: 0,
            peak: Peak::reset(),
        }
    }

    /// Reads an input.
    ///
    /// # Panics
    /// If the reader panics, if one of its messages is beyond their limits, or if one of the
    /// last inputs took too much memory.
    pub fn read(&mut self, input: &[u8]) {
        self.allowed = self.allowed.max(read(self.target, input));
        self.batch.push(input.to_vec());
        if self.batch.len() == BATCH {
            self.check_memory();
        }
    }

    /// Looks at the memory that the last inputs took.
    ///
    /// # Panics
    /// If one of them took too much. It is written to the file.
    pub fn check_memory(&mut self) {
        let inputs = std::mem::take(&mut self.batch);
        if self.peak.bytes() > self.allowed {
            for input in inputs {
                let peak = Peak::reset();
                let allowed = read(self.target, &input);
                let bytes = peak.bytes();
                if bytes > allowed {
                    fs::write(&self.memory_fault, &input).unwrap();
                    panic!(
                        "{}: {} takes {bytes} bytes of memory where {allowed} are allowed",
                        self.target.name,
                        self.memory_fault.display()
                    );
                }
            }
        }
        (self.allowed, self.peak) = (0, Peak::reset());
    }
}

/// Reads an input and checks its messages. Returns the memory in bytes that it may take.
fn read(target: &Target, input: &[u8]) -> u64 {
    let (made, read) = target.made(input);
    for message in read(&made).err().into_iter().flatten() {
        let (name, bytes) = (target.name, message.len());
        assert!(bytes <= MESSAGE_BYTES, "{name}: a message of {bytes} bytes");
        let steers = message.contains(char::is_control);
        assert!(!steers, "{name}: control characters in {message:?}");
    }
    target.max_memory(made.len())
}

/// The peak of this process's memory since a moment.
#[derive(Debug)]
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
