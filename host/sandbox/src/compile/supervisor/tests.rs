#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{RUNNING, STOPPED, Supervisor, SupervisorMessage};
use crate::compile::delivery::Outcome;
use crate::compile::job::Job;
use crate::compile::{CompilerOptions, LoadRequest, Source};
use crate::error::LoadError;

/// Returns a supervisor of children that do nothing, and the receiver of its outcomes.
fn supervisor() -> (Supervisor, Receiver<Outcome>) {
    let options = CompilerOptions {
        arguments: ["-c", "exec /bin/sleep 600"].map(Into::into).into(),
        memory_bytes: Some(1 << 30),
        ..CompilerOptions::program("/bin/sh".into())
    };
    let (sender, _) = channel();
    let (outcomes, handed_over) = channel();
    (Supervisor::new(options, sender, outcomes), handed_over)
}

fn add(supervisor: &mut Supervisor) {
    let request = LoadRequest {
        digest: String::new(),
        source: Source::Bytes(Arc::default()),
        max_bytes: 1,
    };
    supervisor.handle(SupervisorMessage::Compile(Job::new(
        request,
        Box::new(|_| {}),
    )));
}

/// Adds this CPU time to the running children.
fn use_up(supervisor: &mut Supervisor, cpu: Duration) {
    for child in supervisor
        .children
        .iter_mut()
        .filter(|child| !child.stopped)
    {
        child.usage.cpu = cpu;
        child.job.note(cpu, Duration::ZERO);
    }
}

fn end(mut supervisor: Supervisor) {
    supervisor.children.drain(..).for_each(super::Child::end);
}

#[test]
fn at_most_four_are_held_and_the_longest_begins_anew() {
    let (mut supervisor, _outcomes) = supervisor();
    for n in 0..8 {
        add(&mut supervisor);
        supervisor.schedule();
        // Each has used a little more than the previous one.
        use_up(&mut supervisor, Duration::from_millis(100 + n));
    }
    supervisor.schedule();
    let held = supervisor.children.iter().filter(|child| child.stopped);
    assert_eq!(held.count(), STOPPED);
    assert_eq!(supervisor.running(), RUNNING);
    // The others were ended and wait: no job was lost.
    assert_eq!(supervisor.waiting.len(), 8 - STOPPED - RUNNING);
    let longest_held = supervisor.children.iter().filter(|child| child.stopped);
    let longest_held = longest_held.map(|child| child.job.used).max();
    assert!(
        supervisor
            .waiting
            .iter()
            .all(|job| Some(job.used) >= longest_held)
    );
    assert!(
        supervisor
            .waiting
            .iter()
            .all(|job| !job.alone && job.level() == 1)
    );
    end(supervisor);
}

#[test]
fn nothing_begins_while_outcomes_are_not_handed_over() {
    let (mut supervisor, outcomes) = supervisor();
    for _ in 0..3 {
        add(&mut supervisor);
    }
    supervisor.schedule();
    for _ in 0..RUNNING {
        let refused = Some(LoadError::CompilerEnded("for a test".into()));
        supervisor.children[0].ended = refused;
        supervisor.settle(0, super::Written::default());
    }
    supervisor.schedule();
    assert_eq!((supervisor.running(), supervisor.waiting.len()), (0, 1));
    assert!(outcomes.try_recv().unwrap().1.is_err());
    supervisor.handle(SupervisorMessage::Delivered);
    supervisor.schedule();
    assert_eq!((supervisor.running(), supervisor.waiting.len()), (1, 0));
    end(supervisor);
}

#[test]
fn who_runs_out_of_memory_because_of_others_is_not_refused_for_good() {
    let (mut supervisor, outcomes) = supervisor();
    add(&mut supervisor);
    for _ in 0..super::MAX_STARVED {
        supervisor.schedule();
        let limit = supervisor.children[0].most;
        let child = &mut supervisor.children[0];
        child.allowed = limit / 2;
        child.ended = Some(LoadError::CompileMemory { limit });
        supervisor.settle(0, super::Written::default());
        assert!(supervisor.waiting.iter().all(|job| job.alone));
    }
    assert!(supervisor.waiting.is_empty());
    let error = outcomes.try_recv().unwrap().1.unwrap_err();
    assert_eq!(error, LoadError::CompileMemoryShared);
    assert!(error.may_pass());
}
