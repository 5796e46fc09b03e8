//! A child process, its pipes and its resource usage.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::code::MAX_CODE_BYTES;
use crate::compile::child::{Answer, Limits};
use crate::compile::{CompilerOptions, Source, memory_budget};
use crate::error::LoadError;
use crate::file;

/// Bytes of a child's standard error that are kept: enough for a panic's message.
const STDERR_BYTES: u64 = 4 << 10;
/// Maximum bytes of each line before the code: the answer's and the surface's.
const LINE_BYTES: usize = 1 << 20;
/// Maximum bytes after the first line of an answer.
pub(super) const MAX_ANSWER_BYTES: usize = MAX_CODE_BYTES + LINE_BYTES;

/// A child that has not been waited for: until then its process id is not reused.
pub(super) struct Process {
    child: Child,
    pid: Pid,
}

/// The parent's ends of a child's pipes.
pub(super) struct Pipes {
    stdin: Option<(ChildStdin, Arc<[u8]>)>,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

/// What a child wrote.
#[derive(Default)]
pub(super) struct Written {
    /// The first line of its answer; `None` if it is not valid.
    pub answer: Option<Answer>,
    /// The output after that line.
    pub code: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: String,
}

/// Resources that a child has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub cpu: Duration,
    /// Private memory, as RLIMIT_DATA counts it.
    pub memory: u64,
}

impl Process {
    pub fn start(
        options: &CompilerOptions,
        limits: &Limits,
        source: &Source,
    ) -> Result<(Self, Pipes), LoadError> {
        let input = match source {
            Source::Bytes(_) => Stdio::piped(),
            Source::File(path) => file::open(path)?.into(),
        };
        let cannot = |error: io::Error| LoadError::CompilerNotStarted(error.to_string());
        let mut child = Command::new(&options.program)
            .arg0("flyball")
            .args(&options.arguments)
            .args(limits.arguments())
            // It must not see the daemon's credentials.
            .env_clear()
            // mimalloc would reserve a GiB at once, which is more than the child may
            // have.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        let ends = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let (stdin, Some(stdout), Some(stderr), Some(pid)) = (ends.0, ends.1, ends.2, pid) else {
            // Errors mean that it has ended.
            let _ = child.kill();
            let _ = child.wait();
            return Err(cannot(io::Error::other("its process has no pipes")));
        };
        let stdin = match source {
            Source::Bytes(bytes) => stdin.map(|stdin| (stdin, Arc::clone(bytes))),
            Source::File(_) => None,
        };
        let pipes = Pipes {
            stdin,
            stdout,
            stderr,
        };
        Ok((Self { child, pid }, pipes))
    }

    /// Stops it; it keeps its memory.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // An error means that it has ended; its closed pipes report that too.
        let _ = kill_process(self.pid, signal);
    }

    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Sets the limit of its private memory, and the most that the limit may be raised
    /// to.
    pub fn allow_memory(&self, bytes: u64, most: u64) {
        let (current, maximum) = (Some(bytes.min(most)), Some(most));
        // An error means that it has ended.
        let _ = prlimit(Some(self.pid), Resource::Data, Rlimit { current, maximum });
    }

    /// Returns the CPU time and memory it has used. Returns `None` if they can't be read,
    /// for example because it has ended.
    pub fn usage(&self) -> Option<Usage> {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{}/{file}", self.pid.as_raw_nonzero())).ok()
        };
        Some(Usage {
            cpu: cpu(&read("stat")?, rustix::param::clock_ticks_per_second())?,
            memory: memory_budget::field(&read("status")?, "VmData:")?,
        })
    }
}

/// Parses the CPU time from `/proc/PID/stat`: fields 14 and 15. The second field, the
/// program's name in parentheses, may contain anything.
fn cpu(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    Some(Duration::from_millis(
        ticks * 1_000 / ticks_per_second.max(1),
    ))
}

impl Pipes {
    /// Writes the component, and reads until the child has ended.
    pub fn exchange(self) -> Written {
        let Self {
            stdin,
            stdout,
            stderr,
        } = self;
        std::thread::scope(|scope| {
            // Standard error is read at the same time: a child whose pipe is full blocks.
            // Without a thread the pipe is closed, and the child's writes to it fail.
            let stderr_reader = std::thread::Builder::new()
                .name("flyball-compile-errors".into())
                .spawn_scoped(scope, move || beginning(stderr));
            if let Some((mut stdin, bytes)) = stdin {
                // An error means that the child ended before it had read everything: its
                // exit status says why.
                let _ = stdin.write_all(&bytes);
            }
            let (answer, code) = answer(stdout);
            let stderr_reader = stderr_reader
                .ok()
                .and_then(|stderr_reader| stderr_reader.join().ok());
            Written {
                answer,
                code,
                stderr: stderr_reader.unwrap_or_default(),
            }
        })
    }
}

/// Reads an answer: its first line, and what follows unless that is too long. Errors
/// leave it incomplete, which is noticed when the answer is parsed.
fn answer(stdout: impl Read) -> (Option<Answer>, Vec<u8>) {
    let (mut line, mut code) = (Vec::new(), Vec::new());
    let mut stdout = BufReader::new(stdout);
    let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
    let _ = stdout.by_ref().take(most).read_until(b'\n', &mut line);
    let answer: Option<Answer> = serde_json::from_slice(&line).ok();
    let bytes = answer.as_ref().map_or(0, |answer| answer.bytes);
    // The exact size is reserved: growing step by step would take twice the memory.
    if bytes <= MAX_ANSWER_BYTES && code.try_reserve_exact(bytes).is_ok() {
        let most = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(1);
        let _ = stdout.take(most).read_to_end(&mut code);
    }
    (answer, code)
}

/// Reads standard error to its end, and returns its beginning.
fn beginning(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    // Errors are treated as the end.
    let _ = stderr.by_ref().take(STDERR_BYTES).read_to_end(&mut kept);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::cpu;

    #[test]
    fn cpu_time_is_read_whatever_the_program_is_called() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 13 14";
        assert_eq!(cpu(stat, 100), Some(Duration::from_millis(420)));
        assert_eq!(cpu("7 (a", 100), None);
    }
}
