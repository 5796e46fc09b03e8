//! From a component's bytes to machine code.
//!
//! Neither parsing nor compiling takes fuel or can be interrupted, and a compiler may
//! panic, abort, or eat memory on what it is given. So whatever comes from outside is
//! parsed, validated and compiled in a child process of the same binary
//! ([`child`]), under limits that the kernel enforces; [`supervisor`] decides which
//! children run when. Built-in policies, which were compiled with the binary, are
//! compiled in this process.

pub(crate) mod child;
pub(crate) mod code;
mod hand_over;
mod job;
mod load;
mod memory;
mod outcome;
mod process;
mod room;
mod supervisor;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::error::{EngineError, LoadError};
use job::{Done, Job, JobId};
pub(crate) use load::Wanted;
use supervisor::Order;

/// Memory of all compiling children together where nothing else is said, in bytes.
pub const DEFAULT_COMPILE_MEMORY: u64 = 256 << 20;
/// CPU time that a policy may take to compile where nothing else is said: an
/// interpreter compiled to Wasm takes 23 s.
pub const DEFAULT_COMPILE_CPU: Duration = Duration::from_secs(60);

/// How policies are compiled that are not built in.
#[derive(Clone, Debug)]
pub struct CompilerOptions {
    /// The program that is started for each policy. It must call
    /// [`crate::compile_if_asked`] before it does anything else.
    pub program: PathBuf,
    /// Arguments that come before those.
    pub arguments: Vec<OsString>,
    /// Private memory of all children together, in bytes. `None` stands for
    /// [`DEFAULT_COMPILE_MEMORY`], or for what the memory limit of the cgroup leaves
    /// beside this process, if that is less.
    pub memory_bytes: Option<u64>,
    /// CPU time of a policy. It is rounded up to whole seconds.
    pub cpu: Duration,
    /// Time that a child may run, by the wall clock: the backstop.
    pub wall: Duration,
}

impl CompilerOptions {
    /// Children that are this binary, which must begin with a call of
    /// [`crate::compile_if_asked`].
    #[must_use]
    pub fn this_binary() -> Self {
        // The kernel's name of the binary that runs leads to it even after the file was
        // replaced: a child of another version would compile for another host.
        Self::program("/proc/self/exe".into())
    }

    /// Children that are another program, which must begin in the same way.
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

/// A component to compile.
pub(crate) enum Source {
    /// The bytes themselves.
    Bytes(Arc<[u8]>),
    /// The content of a file when the child starts. It is checked against the digest.
    File(PathBuf),
}

/// Children that compile, and the thread that supervises them. It ends, and they with
/// it, when this is dropped.
pub(crate) struct Compiler {
    orders: Sender<Order>,
}

impl Compiler {
    /// Starts the supervising thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(options: CompilerOptions) -> Result<Self, EngineError> {
        let (orders, receiver) = channel();
        supervisor::start(options, orders.clone(), receiver)?;
        Ok(Self { orders })
    }

    /// Compiles a component, and then calls `done` from another thread: with what the
    /// child answered, or with the reason why it is refused.
    pub fn compile(
        &self,
        wanted: Wanted,
        done: impl FnOnce(Result<Vec<u8>, LoadError>) + Send + 'static,
    ) -> Ticket {
        let done: Done = Box::new(done);
        let job = Job::new(wanted, done);
        let id = job.id;
        // The thread ends with this value, or with the process.
        let _ = self.orders.send(Order::Compile(job));
        Ticket {
            orders: self.orders.clone(),
            id,
        }
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // An error means that the thread has ended.
        let _ = self.orders.send(Order::Stop);
    }
}

/// A compilation under way. Dropping it ends it, if it has not ended.
pub(crate) struct Ticket {
    orders: Sender<Order>,
    id: JobId,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // An error means that the thread has ended.
        let _ = self.orders.send(Order::Cancel(self.id));
    }
}
