//! The child's side: it limits itself, compiles what comes in, and answers.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal,
    setpriority_process, setrlimit,
};
use serde::{Deserialize, Serialize};

use crate::compile::code;
use crate::digest::digest;
use crate::engine;
use crate::error::LoadError;
use crate::panics::caught;

/// First argument of a child.
pub(crate) const COMMAND: &str = "compile-policy";

/// The lowest priority there is: decisions come first.
const NICE: i32 = 19;
/// Where memory is short the kernel ends the child and not the daemon.
const OOM_SCORE_ADJUSTMENT: &str = "1000";

/// Limits of a child: its arguments, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Private memory at first; the parent raises and lowers it.
    pub memory: u64,
    /// The most that it is ever raised to.
    pub most_memory: u64,
    /// CPU time, in seconds.
    pub cpu_seconds: u64,
    /// Size of a component.
    pub max_bytes: u64,
    /// The process that started it.
    pub parent: u32,
}

impl Limits {
    pub fn arguments(&self) -> [String; 5] {
        [
            self.memory,
            self.most_memory,
            self.cpu_seconds,
            self.max_bytes,
            u64::from(self.parent),
        ]
        .map(|number| number.to_string())
    }

    fn parse(arguments: &[OsString]) -> Option<Self> {
        let number = |text: &OsString| text.to_str()?.parse::<u64>().ok();
        let numbers: Option<Vec<u64>> = arguments.iter().map(number).collect();
        let [memory, most_memory, cpu_seconds, max_bytes, parent] = numbers?.try_into().ok()?;
        Some(Self {
            memory,
            most_memory,
            cpu_seconds,
            max_bytes,
            parent: u32::try_from(parent).ok()?,
        })
    }
}

/// First line of a child's answer, as JSON. What [`code::head`] and the code make
/// together follows, if it is not refused.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Digest of what came in.
    pub digest: String,
    pub refused: Option<LoadError>,
    /// Bytes that follow.
    pub bytes: usize,
}

/// Compiles a policy in this process, if it was started for that: a binary that is the
/// program of [`crate::CompilerOptions`] calls it before it does anything else, and
/// ends with the exit code, if there is one.
#[must_use]
pub fn compile_if_asked() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    (arguments.next().as_deref() == Some(OsStr::new(COMMAND)))
        .then(|| compile_in_child(&arguments.collect::<Vec<_>>()))
}

fn compile_in_child(arguments: &[OsString]) -> ExitCode {
    let Some(limits) = Limits::parse(arguments) else {
        eprintln!("{COMMAND} is internal: flyball starts it to compile a policy");
        return ExitCode::from(2);
    };
    match confine(&limits).and_then(|()| answer(&limits)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether an error, or what an abort left, speaks of memory: the standard library, the
/// compiler and the operating system have words of their own for it.
pub(super) fn lacks_memory(said: &str) -> bool {
    [
        "memory allocation of",
        "out of memory",
        "Cannot allocate memory",
    ]
    .iter()
    .any(|words| said.contains(words))
}

fn confine(limits: &Limits) -> io::Result<()> {
    // One that is stopped would outlive the parent, and never go on.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = getppid().map(|parent| parent.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(limits.parent) {
        return Err(io::Error::other("the parent has ended"));
    }
    // The kernel may lack it; the other limits stand.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJUSTMENT);
    setpriority_process(None, NICE)?;
    let limit = |resource, current, maximum| {
        let (current, maximum) = (Some(current), Some(maximum));
        setrlimit(resource, Rlimit { current, maximum })
    };
    limit(Resource::Core, 0, 0)?;
    // A second more, so that the signal that ends it says why.
    limit(Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds + 1)?;
    // The parent may have been faster.
    let memory = getrlimit(Resource::Data).current;
    let memory = memory.unwrap_or(limits.memory).min(limits.most_memory);
    limit(Resource::Data, memory, limits.most_memory)?;
    Ok(())
}

fn answer(limits: &Limits) -> io::Result<()> {
    let mut bytes = Vec::new();
    let most = limits.max_bytes.saturating_add(1);
    io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    let outcome = caught(|| {
        let engine = engine::compiling()
            .map_err(|error| LoadError::CompilerNotStarted(format!("no engine: {error:#}")))?;
        code::compile(&engine, &bytes)
    })
    .unwrap_or_else(|panic| Err(LoadError::Compile(panic)))
    .map_err(|error| match error {
        LoadError::Compile(said) if lacks_memory(&said) => LoadError::CompileMemory {
            limit: limits.most_memory,
        },
        error => error,
    });
    let digest = digest(&bytes);
    drop(bytes);
    let (head, code, refused) = match outcome {
        Ok((surface, code)) => (code::head(&surface)?, code, None),
        Err(error) => (Vec::new(), Vec::new(), Some(error)),
    };
    let bytes = head.len() + code.len();
    let answer = Answer {
        digest,
        refused,
        bytes,
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &answer)?;
    out.write_all(b"\n")?;
    out.write_all(&head)?;
    out.write_all(&code)?;
    out.flush()
}
