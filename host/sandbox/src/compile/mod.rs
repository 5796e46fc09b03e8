//! Compilation of components to machine code.
//!
//! Neither parsing nor compiling takes fuel or can be interrupted, and a compiler may
//! panic, abort, or run out of memory on its input. So input from outside is parsed,
//! validated and compiled in a child process of the same binary ([`child`]), under limits
//! that the kernel enforces; [`supervisor`] schedules the children. Built-in policies,
//! which were compiled with the binary, are compiled in this process.

pub(crate) mod child;
mod delivery;
mod job;
mod memory_budget;
mod memory_share;
mod outcome;
mod process;
mod supervisor;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::error::{EngineError, LoadError};
use job::{Callback, Job, JobId};
use supervisor::SupervisorMessage;

/// Default memory of all compiling children together, in bytes.
pub const DEFAULT_COMPILE_MEMORY: u64 = 256 << 20;
/// Default CPU time that compiling a policy may take: an interpreter compiled to Wasm
/// takes 23 s.
pub const DEFAULT_COMPILE_CPU: Duration = Duration::from_secs(60);

/// How policies that are not built in are compiled.
#[derive(Clone, Debug)]
pub struct CompilerOptions {
    /// The program that is started for each policy. It must call
    /// [`crate::compile_if_asked`] before it does anything else.
    pub program: PathBuf,
    /// Arguments that precede those of [`crate::compile_if_asked`].
    pub arguments: Vec<OsString>,
    /// Private memory of all children together, in bytes. `None` means
    /// [`DEFAULT_COMPILE_MEMORY`], or what the memory limit of the cgroup leaves besides
    /// this process if that is less.
    pub memory_bytes: Option<u64>,
    /// CPU time for a policy. It is rounded up to whole seconds.
    pub cpu: Duration,
    /// Wall-clock time for a child: the backstop.
    pub wall: Duration,
}

impl CompilerOptions {
    /// Uses this binary, which must call [`crate::compile_if_asked`] first.
    #[must_use]
    pub fn this_binary() -> Self {
        // `/proc/self/exe` leads to the running binary even after its file was replaced:
        // a child of another version would compile for another host.
        Self::program("/proc/self/exe".into())
    }

    /// Uses another program, which must call [`crate::compile_if_asked`] first.
    #[must_use]
    pub fn program(program: PathBuf) -> Self {
        Self {
            program,
            arguments: vec![child::COMMAND.into()],
            memory_bytes: None,
            cpu: DEFAULT_COMPILE_CPU,
            wall: Duration::from_secs(5 * 60),
        }
    }
}

/// A component to load.
pub(crate) struct LoadRequest {
    /// Digest of its bytes.
    pub digest: String,
    pub source: Source,
    /// Maximum size; larger components are refused.
    pub max_bytes: u64,
}

/// Where the bytes of a component come from.
pub(crate) enum Source {
    /// The bytes themselves, while a caller waits that has them.
    Bytes(Arc<[u8]>),
    /// A file, read when the child starts. Its content is checked against the digest.
    File(PathBuf),
}

/// The compiling children and the thread that supervises them. Dropping it ends them all.
pub(crate) struct Compiler {
    orders: Sender<SupervisorMessage>,
}

impl Compiler {
    /// Starts the supervising thread.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(options: CompilerOptions) -> Result<Self, EngineError> {
        let (orders, receiver) = channel();
        supervisor::start(options, orders.clone(), receiver)?;
        Ok(Self { orders })
    }

    /// Compiles a component, and then calls `done` from another thread with the child's
    /// answer or the reason for refusing it.
    pub fn compile(
        &self,
        request: LoadRequest,
        done: impl FnOnce(Result<Vec<u8>, LoadError>) + Send + 'static,
    ) -> CompileHandle {
        let done: Callback = Box::new(done);
        let job = Job::new(request, done);
        let id = job.id;
        // Sending fails only after the thread has ended, with this value or the process.
        let _ = self.orders.send(SupervisorMessage::Compile(job));
        CompileHandle {
            orders: self.orders.clone(),
            id,
        }
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // An error means that the thread has ended.
        let _ = self.orders.send(SupervisorMessage::Stop);
    }
}

/// A running compilation. Dropping it cancels the compilation.
pub(crate) struct CompileHandle {
    orders: Sender<SupervisorMessage>,
    id: JobId,
}

impl Drop for CompileHandle {
    fn drop(&mut self) {
        // An error means that the thread has ended.
        let _ = self.orders.send(SupervisorMessage::Cancel(self.id));
    }
}
