//! The outcome of a child that has ended: its answer, or the reason for not having one.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use flyball_decision::text::readable;
use rustix::process::Signal;

use crate::code;
use crate::compile::child::lacks_memory;
use crate::compile::process::{MAX_ANSWER_BYTES, Written};
use crate::error::LoadError;

/// Maximum length of a reason given by a child, in bytes.
const REASON_BYTES: usize = 1 << 10;

/// Limits that applied to a child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Private memory of all children together, in bytes.
    pub memory: u64,
    pub cpu_seconds: u64,
}

/// Returns the output after the first line of a child's answer, for a component with this
/// digest.
pub(super) fn of(
    digest: &str,
    status: ExitStatus,
    written: Written,
    limits: Limits,
) -> Result<Vec<u8>, LoadError> {
    let answer = written.answer.as_ref();
    // The answer was not read, so the child may have failed to write it.
    if answer.is_some_and(|answer| answer.bytes > MAX_ANSWER_BYTES) {
        return Err(code::too_large());
    }
    if status.success() {
        return take_apart(digest, written);
    }
    let stderr = written.stderr.trim();
    if lacks_memory(stderr) {
        let limit = limits.memory;
        return Err(LoadError::CompileMemory { limit });
    }
    let signal = status.signal();
    if signal == Some(Signal::XCPU.as_raw()) {
        let seconds = limits.cpu_seconds;
        return Err(LoadError::CompileTime { seconds });
    }
    if signal == Some(Signal::KILL.as_raw()) {
        return Err(LoadError::CompilerKilled);
    }
    let mut how = status.to_string();
    if let Some(last) = stderr.lines().last() {
        how = format!("{how}, and said: {last}");
    }
    readable(&mut how, REASON_BYTES);
    Err(LoadError::CompilerEnded(how))
}

fn take_apart(digest: &str, written: Written) -> Result<Vec<u8>, LoadError> {
    let nonsense = || LoadError::CompilerEnded("its answer makes no sense".into());
    let answer = written.answer.ok_or_else(nonsense)?;
    if answer.digest != digest {
        return Err(LoadError::Changed);
    }
    match answer.refused {
        Some(error) => Err(error),
        None if written.code.len() == answer.bytes => Ok(written.code),
        None => Err(nonsense()),
    }
}
