//! The child process: it limits itself, compiles its input and writes its answer.

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

use crate::code;
use crate::digest::digest;
use crate::error::LoadError;
use crate::panics::catch_panic;
use crate::settings;

/// First argument of a child.
pub(crate) const COMMAND: &str = "compile-policy";

/// The lowest priority: decisions come first.
const NICE: i32 = 19;
/// When memory is short, the kernel kills the child and not the daemon.
const OOM_SCORE_ADJUSTMENT: &str = "1000";

/// Limits of a child: its arguments, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Initial limit of private memory; the parent raises and lowers it.
    pub memory: u64,
    /// Upper bound of that limit.
    pub most_memory: u64,
    /// CPU time, in seconds.
    pub cpu_seconds: u64,
    /// Size of a component.
    pub max_bytes: u64,
    /// Process id of the parent.
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

/// First line of a child's answer, as JSON. Unless the component is refused, the output
/// of [`code::head`] and the code follow.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Digest of the input.
    pub digest: String,
    pub refused: Option<LoadError>,
    /// Number of bytes that follow.
    pub bytes: usize,
}

/// Compiles a policy in this process if it was started for that. The program of
/// [`crate::CompilerOptions`] calls this before anything else, and exits with the code if
/// one is returned.
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

/// Reports whether an error message, or the output of an abort, says that memory ran out:
/// the standard library, the compiler and the operating system use different words for
/// it.
pub(super) fn lacks_memory(output: &str) -> bool {
    [
        "memory allocation of",
        "out of memory",
        "Cannot allocate memory",
    ]
    .iter()
    .any(|words| output.contains(words))
}

fn confine(limits: &Limits) -> io::Result<()> {
    // Otherwise a stopped child would outlive its parent and never continue.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = getppid().map(|parent| parent.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(limits.parent) {
        return Err(io::Error::other("the parent has ended"));
    }
    // The kernel may not support it; the other limits hold without it.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJUSTMENT);
    setpriority_process(None, NICE)?;
    let limit = |resource, current, maximum| {
        let (current, maximum) = (Some(current), Some(maximum));
        setrlimit(resource, Rlimit { current, maximum })
    };
    limit(Resource::Core, 0, 0)?;
    // The hard limit is one second higher, so that the process ends with SIGXCPU, which
    // names the reason.
    limit(Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds + 1)?;
    // The parent may have set the limit already.
    let memory = getrlimit(Resource::Data).current;
    let memory = memory.unwrap_or(limits.memory).min(limits.most_memory);
    limit(Resource::Data, memory, limits.most_memory)?;
    Ok(())
}

fn answer(limits: &Limits) -> io::Result<()> {
    let mut bytes = Vec::new();
    let most = limits.max_bytes.saturating_add(1);
    io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    let outcome = catch_panic(|| {
        let engine = settings::compiling()
            .map_err(|error| LoadError::CompilerNotStarted(format!("no engine: {error:#}")))?;
        code::compile(&engine, &bytes)
    })
    .unwrap_or_else(|panic| Err(LoadError::Compile(panic)))
    .map_err(|error| match error {
        LoadError::Compile(output) if lacks_memory(&output) => LoadError::CompileMemory {
            limit: limits.most_memory,
        },
        error => error,
    });
    let digest = digest(&bytes);
    drop(bytes);
    let (head, code, refused) = match outcome {
        Ok((surface, code)) => (code::head(&surface)?, code, None),
        Err(error) => (Vec::new(), Vec::new(), Some(error.bounded())),
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
