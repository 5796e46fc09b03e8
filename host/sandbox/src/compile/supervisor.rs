//! Which children run when. Two run at a time; one that has used much CPU time is
//! stopped while a policy that has used less waits, so that no policy keeps others
//! waiting, however long it takes to compile.
//!
//! All children together have one amount of memory. Each may take what it has and its
//! part of what is free. One that finds no more while there are others is no fault of
//! its policy: it is compiled again when there are none.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::compile::child::Limits;
use crate::compile::job::{Job, JobId};
use crate::compile::process::{Process, Usage, Written};
use crate::compile::{CompilerOptions, memory, outcome};
use crate::error::{EngineError, LoadError};

/// Children that run at a time.
const RUNNING: usize = 2;
/// Children that are stopped at most; more are ended, and begin anew later.
const STOPPED: usize = 4;
/// How often running children are looked at.
const TICK: Duration = Duration::from_millis(20);
/// Part of the memory that must be free for another child to start.
const START_PART: u64 = 4;
/// How often a policy may run out of memory beside others.
const TRIES: u32 = 8;
/// How much an answer may be larger than all memory of the children.
const HEAD_BYTES: u64 = 1 << 20;

/// What the supervisor is told.
pub(super) enum Order {
    Compile(Job),
    /// Nobody waits for it any more.
    Cancel(JobId),
    /// A child has closed its pipes.
    Ended(u64, Written),
    Stop,
}

/// Starts the supervising thread.
pub(super) fn start(
    options: CompilerOptions,
    sender: Sender<Order>,
    orders: Receiver<Order>,
) -> Result<(), EngineError> {
    let mut supervisor = Supervisor {
        memory: memory::budget(options.memory_bytes),
        options,
        sender,
        waiting: Vec::new(),
        children: Vec::new(),
        started: 0,
    };
    std::thread::Builder::new()
        .name("flyball-compile".into())
        .spawn(move || supervisor.run(&orders))
        .map(drop)
        .map_err(|error| EngineError::Setup(format!("cannot start the compile thread: {error}")))
}

struct Supervisor {
    options: CompilerOptions,
    /// For the threads that wait for children.
    sender: Sender<Order>,
    /// Memory of all children together, in bytes.
    memory: u64,
    /// Jobs without a child.
    waiting: Vec<Job>,
    children: Vec<Child>,
    /// Children so far.
    started: u64,
}

/// A job with the process that works on it.
struct Child {
    number: u64,
    job: Job,
    process: Process,
    usage: Usage,
    /// Memory that it may have, in bytes, and the most that it ever may: a limit of its
    /// own that cannot be raised.
    allowed: u64,
    most: u64,
    stopped: bool,
    /// Since when it has run, and how long before it was stopped last.
    since: Instant,
    ran: Duration,
    /// Why it was ended from here.
    ended: Option<LoadError>,
}

/// Who runs next.
#[derive(Clone, Copy)]
enum Next {
    /// A job, by its place among those that wait.
    Waiting(usize),
    /// A child that is stopped, by its place.
    Stopped(usize),
}

impl Supervisor {
    fn run(&mut self, orders: &Receiver<Order>) {
        loop {
            let order = match self.children.iter().any(|child| !child.stopped) {
                true => orders.recv_timeout(TICK),
                false => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut order = match order {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                // This thread has a sender of its own.
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.measure();
            while let Some(one) = order {
                if matches!(one, Order::Stop) {
                    self.children.drain(..).for_each(Child::end);
                    return;
                }
                self.follow(one);
                order = orders.try_recv().ok();
            }
            self.schedule();
            self.share_memory();
        }
    }

    fn follow(&mut self, order: Order) {
        match order {
            Order::Compile(job) => self.waiting.push(job),
            Order::Cancel(id) => {
                self.waiting.retain(|job| job.id != id);
                if let Some(at) = self.children.iter().position(|child| child.job.id == id) {
                    self.children.remove(at).end();
                }
            }
            Order::Ended(number, written) => {
                let is_it = |child: &Child| child.number == number;
                if let Some(at) = self.children.iter().position(is_it) {
                    self.settle(at, written);
                }
            }
            Order::Stop => {}
        }
    }

    /// Looks at what children have taken, and ends those that run for too long.
    fn measure(&mut self) {
        for child in self.children.iter_mut().filter(|child| !child.stopped) {
            // One that has just ended keeps what it had last.
            child.usage = child.process.usage().unwrap_or(child.usage);
            child.job.used = child.job.used.max(child.usage.cpu);
            let ran = child.ran + child.since.elapsed();
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
                // Making room may have changed places.
                Next::Waiting(_) if self.make_room(level) => {}
                Next::Waiting(_) => return,
            }
        }
    }

    fn running(&self) -> usize {
        self.children.iter().filter(|child| !child.stopped).count()
    }

    /// The one that has used least; of the same level those that need everything for
    /// themselves come last, and what has begun comes first.
    fn next(&self) -> Option<Next> {
        let waiting = self.waiting.iter().enumerate();
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

    /// The child that has used most, of those.
    fn longest(&self, is_one: impl Fn(&Child) -> bool) -> Option<usize> {
        let children = self.children.iter().enumerate();
        children
            .filter(|(_, child)| is_one(child))
            .max_by_key(|(_, child)| (child.usage.cpu, child.number))
            .map(|(at, _)| at)
    }

    fn free_memory(&self) -> u64 {
        let used: u64 = self.children.iter().map(|child| child.usage.memory).sum();
        self.memory.saturating_sub(used)
    }

    /// Whether a job of that level may start beside the children that there are.
    fn has_room(&self, level: usize, alone: bool) -> bool {
        if self.children.is_empty() {
            return true;
        }
        let disturbs =
            |child: &Child| !child.stopped && child.job.alone && child.job.level() <= level;
        !alone
            && !self.children.iter().any(disturbs)
            && self.free_memory() >= self.memory / START_PART
    }

    /// Ends the child that stands in the way of a job of that level, if there is one that
    /// should give way: then it begins anew later, when there are no others.
    fn make_room(&mut self, level: usize) -> bool {
        if self.free_memory() >= self.memory / START_PART {
            // It is not memory that is lacking.
            return false;
        }
        let gives_way = |child: &Child| child.stopped || child.job.level() > level;
        let children = self.children.iter().enumerate();
        let largest = children
            .filter(|(_, child)| gives_way(child) && child.job.level() >= level)
            .max_by_key(|(_, child)| child.usage.memory);
        let Some(at) = largest.map(|(at, _)| at) else {
            return false;
        };
        self.children[at].job.alone = true;
        self.begin_anew(at);
        true
    }

    fn begin_anew(&mut self, at: usize) {
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
        child.process.resume();
    }

    fn start(&mut self, mut job: Job) {
        // What this process holds is another amount each time.
        self.memory = memory::budget(self.options.memory_bytes);
        let running = u64::try_from(self.running()).unwrap_or(u64::MAX);
        let allowed = self.free_memory() / running.saturating_add(1);
        let limits = Limits {
            memory: allowed,
            most_memory: self.memory,
            cpu_seconds: cpu_seconds(&self.options),
            max_bytes: job.wanted.max_bytes,
            parent: std::process::id(),
        };
        let (process, pipes) = match Process::start(&self.options, &limits, &job.wanted.source) {
            Ok(started) => started,
            Err(error) => return finish(job, Err(error)),
        };
        process.allow_memory(allowed, self.memory);
        self.started += 1;
        job.tries += 1;
        let (number, sender) = (self.started, self.sender.clone());
        let most = self.memory.saturating_add(HEAD_BYTES);
        let waiting = std::thread::Builder::new()
            .name("flyball-compiled".into())
            .spawn(move || {
                // An error means that the supervisor has ended.
                let _ = sender.send(Order::Ended(number, pipes.exchange(most)));
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
            child.ended = Some(LoadError::CompilerEnded(format!("no thread: {error}")));
            self.children.push(child);
            return self.settle(self.children.len() - 1, Written::default());
        }
        self.children.push(child);
    }

    /// Lets each running child have what it has and its part of what is free. Those that
    /// are stopped take nothing meanwhile.
    fn share_memory(&mut self) {
        let running = u64::try_from(self.running()).unwrap_or(u64::MAX).max(1);
        let part = self.free_memory() / running;
        for child in self.children.iter_mut().filter(|child| !child.stopped) {
            let allowed = (child.usage.memory + part).min(child.most);
            if allowed != child.allowed {
                child.process.allow_memory(allowed, child.most);
                child.allowed = allowed;
            }
        }
    }

    /// Says what came of a child that has ended, or that is ended by this.
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
                outcome::of(&child.job.wanted.digest, status, written, limits)
            }
            (None, Err(error)) => Err(LoadError::CompilerEnded(error.to_string())),
        };
        let out_of_memory = matches!(outcome, Err(LoadError::CompileMemory { .. }));
        let mut job = child.job;
        // It had less than all because of others.
        if out_of_memory && child.allowed < child.most && job.tries < TRIES {
            job.alone = true;
            return self.waiting.push(job);
        }
        finish(job, outcome);
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

/// Hands over what came of a job. To load code takes a while: others need not wait.
fn finish(job: Job, outcome: Result<Vec<u8>, LoadError>) {
    let handed_over = Arc::new(Mutex::new(Some((job.done, outcome))));
    let hand_over = move || {
        let taken = handed_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((done, outcome)) = taken {
            done(outcome);
        }
    };
    let inline = hand_over.clone();
    let handing = std::thread::Builder::new()
        .name("flyball-compiled".into())
        .spawn(hand_over);
    if handing.is_err() {
        inline();
    }
}
