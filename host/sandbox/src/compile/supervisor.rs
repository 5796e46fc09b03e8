//! Schedules the compiling children. Two run at a time; one that has used much CPU time
//! is stopped while a policy that has used less waits, so that no policy blocks others,
//! however long it takes to compile.
//!
//! [`crate::compile::memory_share`] decides how much memory each may use. A child that runs out
//! of memory while there are others is not the fault of its policy, which is compiled
//! again when no other child runs.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use flyball_tasks::{idle, watch_thread};

use crate::compile::child::Limits;
use crate::compile::delivery::{self, Outcome};
use crate::compile::job::{Job, JobId};
use crate::compile::process::{Process, Usage, Written};
use crate::compile::{CompilerOptions, memory_budget, outcome};
use crate::error::{EngineError, LoadError};

/// Children that run at a time.
const RUNNING: usize = 2;
/// Maximum number of stopped children; beyond that the longest is ended and its job
/// started again later.
const STOPPED: usize = 4;
/// How often running children are measured.
const TICK: Duration = Duration::from_millis(20);
/// Number of times that a policy may run out of memory because of others, before it has
/// to wait.
const MAX_STARVED: u32 = 8;

/// Messages to the supervisor.
pub(super) enum SupervisorMessage {
    Compile(Job),
    /// Cancels a job.
    Cancel(JobId),
    /// A child has closed its pipes: its number and what it wrote.
    Ended(u64, Written),
    /// The outcome of a job was delivered.
    Delivered,
    Stop,
}

/// Starts the supervising thread.
pub(super) fn start(
    options: CompilerOptions,
    sender: Sender<SupervisorMessage>,
    orders: Receiver<SupervisorMessage>,
) -> Result<(), EngineError> {
    let outcomes = delivery::start(sender.clone())?;
    let mut supervisor = Supervisor::new(options, sender, outcomes);
    std::thread::Builder::new()
        .name("flyball-compile".into())
        .spawn(move || watch_thread("supervisor of compilers", || supervisor.run(&orders)))
        .map(drop)
        .map_err(|error| EngineError::Setup(format!("cannot start the compile thread: {error}")))
}

/// The jobs and the children that work on them.
pub(super) struct Supervisor {
    options: CompilerOptions,
    /// Cloned for the threads that wait for children.
    sender: Sender<SupervisorMessage>,
    outcomes: Sender<Outcome>,
    /// Outcomes that are not delivered yet: each holds the memory of its code.
    undelivered: usize,
    /// Memory of all children together, in bytes.
    pub memory: u64,
    /// Jobs without a child. Those that nobody waits for have the path of a file, not its
    /// bytes, so that any number takes little memory.
    waiting: Vec<Job>,
    pub children: Vec<Child>,
    /// Number of children started so far.
    started: u64,
}

/// A job with the process that works on it.
pub(super) struct Child {
    number: u64,
    pub job: Job,
    pub process: Process,
    pub usage: Usage,
    /// Current limit of its memory in bytes, and a fixed upper bound of that limit.
    pub allowed: u64,
    pub most: u64,
    pub stopped: bool,
    /// Start of its current run, and duration of its earlier ones.
    since: Instant,
    ran: Duration,
    /// The reason, if the supervisor ended it.
    ended: Option<LoadError>,
}

/// The job or child that runs next.
#[derive(Clone, Copy)]
enum Next {
    /// Index of a waiting job.
    Waiting(usize),
    /// Index of a stopped child.
    Stopped(usize),
}

impl Supervisor {
    fn new(
        options: CompilerOptions,
        sender: Sender<SupervisorMessage>,
        outcomes: Sender<Outcome>,
    ) -> Self {
        Self {
            memory: memory_budget::budget(options.memory_bytes),
            options,
            sender,
            outcomes,
            undelivered: 0,
            waiting: Vec::new(),
            children: Vec::new(),
            started: 0,
        }
    }

    fn run(&mut self, orders: &Receiver<SupervisorMessage>) {
        loop {
            let order = idle(|| match self.running() {
                0 => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                _ => orders.recv_timeout(TICK),
            });
            let mut order = match order {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                // Cannot happen: this thread has a sender of its own.
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.measure();
            while let Some(one) = order {
                if matches!(one, SupervisorMessage::Stop) {
                    self.children.drain(..).for_each(Child::end);
                    return;
                }
                self.handle(one);
                order = orders.try_recv().ok();
            }
            self.schedule();
            self.share_memory();
        }
    }

    fn handle(&mut self, order: SupervisorMessage) {
        match order {
            SupervisorMessage::Compile(job) => self.waiting.push(job),
            SupervisorMessage::Cancel(id) => {
                self.waiting.retain(|job| job.id != id);
                if let Some(at) = self.children.iter().position(|child| child.job.id == id) {
                    self.children.remove(at).end();
                }
            }
            SupervisorMessage::Ended(number, written) => {
                let is_it = |child: &Child| child.number == number;
                if let Some(at) = self.children.iter().position(is_it) {
                    self.settle(at, written);
                }
            }
            SupervisorMessage::Delivered => self.undelivered = self.undelivered.saturating_sub(1),
            SupervisorMessage::Stop => {}
        }
    }

    /// Measures the children's usage, and ends those that run for too long.
    fn measure(&mut self) {
        for child in &mut self.children {
            // A child that has just ended keeps its last measurement. A stopped one may
            // have used more until the signal reached it.
            child.usage = child.process.usage().unwrap_or(child.usage);
            if child.stopped {
                continue;
            }
            let ran = child.ran + child.since.elapsed();
            child.job.note(child.usage.cpu, ran);
            if ran > self.options.wall && child.ended.is_none() {
                let seconds = self.options.wall.as_secs();
                let reason = format!("it did not end within {seconds} s");
                child.ended = Some(LoadError::CompilerEnded(reason));
                child.process.kill();
            }
        }
    }

    fn schedule(&mut self) {
        while let Some(next) = self.next() {
            let level = self.level(next);
            if self.running() >= RUNNING {
                match self.longest(|child| !child.stopped && child.job.level() > level) {
                    Some(at) => self.stop(at),
                    None => return,
                }
                continue;
            }
            match next {
                Next::Stopped(at) => self.resume(at),
                Next::Waiting(at) if self.has_room(level, self.waiting[at].alone) => {
                    let job = self.waiting.remove(at);
                    self.start(job);
                }
                // `make_room` may have changed indices.
                Next::Waiting(_) if self.make_room(level) => {}
                Next::Waiting(_) => return,
            }
        }
    }

    pub fn running(&self) -> usize {
        self.children.iter().filter(|child| !child.stopped).count()
    }

    /// Returns the job or child that has used least. Within a level, jobs that must run
    /// alone come last, and children that have begun come first. No job begins while too
    /// many outcomes wait to be handed over.
    fn next(&self) -> Option<Next> {
        let may_begin = self.undelivered < RUNNING;
        let waiting = self.waiting.iter().enumerate().filter(|_| may_begin);
        let waiting = waiting.map(|(at, job)| (job, 1, Next::Waiting(at)));
        let stopped = self.children.iter().enumerate();
        let stopped = stopped.filter(|(_, child)| child.stopped);
        let stopped = stopped.map(|(at, child)| (&child.job, 0, Next::Stopped(at)));
        waiting
            .chain(stopped)
            .min_by_key(|(job, begun, _)| (job.level(), job.alone, *begun, job.id))
            .map(|(_, _, next)| next)
    }

    fn level(&self, next: Next) -> usize {
        match next {
            Next::Waiting(at) => self.waiting[at].level(),
            Next::Stopped(at) => self.children[at].job.level(),
        }
    }

    /// Returns the index of the child that has used most, of those that match.
    fn longest(&self, is_one: impl Fn(&Child) -> bool) -> Option<usize> {
        let children = self.children.iter().enumerate();
        children
            .filter(|(_, child)| is_one(child))
            .max_by_key(|(_, child)| (child.usage.cpu, child.number))
            .map(|(at, _)| at)
    }

    /// Ends a child; its job is started again later.
    pub fn begin_anew(&mut self, at: usize) {
        let job = self.children.remove(at).end_keeping();
        self.waiting.push(job);
    }

    fn stop(&mut self, at: usize) {
        let child = &mut self.children[at];
        child.process.stop();
        child.stopped = true;
        child.ran += child.since.elapsed();
        if self.children.iter().filter(|child| child.stopped).count() > STOPPED
            && let Some(longest) = self.longest(|child| child.stopped)
        {
            self.begin_anew(longest);
        }
    }

    fn resume(&mut self, at: usize) {
        let child = &mut self.children[at];
        child.stopped = false;
        child.since = Instant::now();
        // The limit is set first: the old one was computed while others ran.
        self.share_memory();
        self.children[at].process.resume();
    }

    fn start(&mut self, job: Job) {
        // This process's own memory changes.
        self.memory = memory_budget::budget(self.options.memory_bytes);
        let running = u64::try_from(self.running()).unwrap_or(u64::MAX);
        let allowed = self.free_memory() / running.saturating_add(1);
        let limits = Limits {
            memory: allowed,
            most_memory: self.memory,
            cpu_seconds: cpu_seconds(&self.options),
            max_bytes: job.request.max_bytes,
            parent: std::process::id(),
        };
        let (process, pipes) = match Process::start(&self.options, &limits, &job.request.source) {
            Ok(started) => started,
            Err(error) => return self.finish(job, Err(error)),
        };
        process.allow_memory(allowed, self.memory);
        self.started += 1;
        let (number, sender) = (self.started, self.sender.clone());
        let waiting = std::thread::Builder::new()
            .name("flyball-compile-answer".into())
            .spawn(move || {
                // An error means that the supervisor has ended.
                let _ = sender.send(SupervisorMessage::Ended(number, pipes.exchange()));
            });
        let mut child = Child {
            number,
            job,
            process,
            usage: Usage::default(),
            allowed,
            most: self.memory,
            stopped: false,
            since: Instant::now(),
            ran: Duration::ZERO,
            ended: None,
        };
        if let Err(error) = waiting {
            child.ended = Some(LoadError::CompilerNotStarted(format!("no thread: {error}")));
            self.children.push(child);
            return self.settle(self.children.len() - 1, Written::default());
        }
        self.children.push(child);
    }

    /// Handles the end of a child; kills it if it still runs.
    fn settle(&mut self, at: usize, written: Written) {
        let mut child = self.children.remove(at);
        child.process.kill();
        let outcome = match (child.ended.take(), child.process.wait()) {
            (Some(error), _) => Err(error),
            (None, Ok(status)) => {
                let limits = outcome::Limits {
                    memory: child.most,
                    cpu_seconds: cpu_seconds(&self.options),
                };
                outcome::of(&child.job.request.digest, status, written, limits)
            }
            (None, Err(error)) => Err(LoadError::CompilerEnded(error.to_string())),
        };
        let out_of_memory = matches!(outcome, Err(LoadError::CompileMemory { .. }));
        let mut job = child.job;
        // It had less than the whole budget because of others.
        if out_of_memory && child.allowed < child.most {
            job.starved += 1;
            if job.starved >= MAX_STARVED {
                return self.finish(job, Err(LoadError::CompileMemoryShared));
            }
            job.alone = true;
            return self.waiting.push(job);
        }
        self.finish(job, outcome);
    }

    /// Queues the outcome of a job for delivery. Loading code takes a while, and children
    /// need not wait for it.
    fn finish(&mut self, job: Job, outcome: Result<Vec<u8>, LoadError>) {
        self.undelivered += 1;
        // An error means that the thread has panicked, which ends the process.
        let _ = self.outcomes.send((job.done, outcome));
    }
}

impl Child {
    fn end(self) {
        drop(self.end_keeping());
    }

    fn end_keeping(mut self) -> Job {
        self.process.kill();
        // An error means that there is nothing to wait for.
        let _ = self.process.wait();
        self.job
    }
}

fn cpu_seconds(options: &CompilerOptions) -> u64 {
    let whole = u64::from(options.cpu.subsec_nanos() > 0);
    (options.cpu.as_secs() + whole).max(1)
}

#[cfg(test)]
mod tests;
