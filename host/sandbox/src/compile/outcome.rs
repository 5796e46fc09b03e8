//! What came of a child that has ended: its answer, or the reason why there is none.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::Signal;

use crate::compile::child::{Answer, lacks_memory};
use crate::compile::process::Written;
use crate::error::LoadError;
use crate::text::readable;

/// How long a reason may be that a child gives, in bytes.
const REASON_BYTES: usize = 1 << 10;

/// Limits that a child was under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Private memory of all children together, in bytes.
    pub memory: u64,
    pub cpu_seconds: u64,
}

/// What follows the first line of a child's answer, for a component with this digest.
pub(super) fn of(
    digest: &str,
    status: ExitStatus,
    written: Written,
    limits: Limits,
) -> Result<Vec<u8>, LoadError> {
    if status.success() {
        return take_apart(digest, written.stdout);
    }
    let said = written.stderr.trim();
    if lacks_memory(said) {
        let limit = limits.memory;
        return Err(LoadError::CompileMemory { limit });
    }
    let signal = status.signal();
    if signal == Some(Signal::XCPU.as_raw()) {
        let seconds = limits.cpu_seconds;
        return Err(LoadError::CompileTime { seconds });
    }
    let mut how = match signal {
        Some(signal) if signal == Signal::KILL.as_raw() => {
            "it was killed; if that was the kernel, the container's memory limit is too low".into()
        }
        _ => status.to_string(),
    };
    if let Some(last) = said.lines().last() {
        how = format!("{how}, and said: {last}");
    }
    readable(&mut how, REASON_BYTES);
    Err(LoadError::CompilerEnded(how))
}

fn take_apart(digest: &str, mut stdout: Vec<u8>) -> Result<Vec<u8>, LoadError> {
    let nonsense = || LoadError::CompilerEnded("its answer makes no sense".into());
    let end = stdout.iter().position(|byte| *byte == b'\n');
    let line = stdout.drain(..=end.ok_or_else(nonsense)?);
    let answer: Answer = serde_json::from_slice(line.as_slice()).map_err(|_| nonsense())?;
    drop(line);
    if answer.digest != digest {
        return Err(LoadError::Changed);
    }
    match answer.refused {
        Some(error) => Err(error),
        None if stdout.len() == answer.bytes => Ok(stdout),
        None => Err(nonsense()),
    }
}
