//! Lines on standard error that say what the benchmark does.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// Prints the current step every few seconds, until the process ends.
pub struct Progress {
    start: Instant,
    step: Arc<Mutex<String>>,
}

impl Progress {
    pub fn start() -> Self {
        let progress = Self {
            start: Instant::now(),
            step: Arc::default(),
        };
        let (start, step) = (progress.start, Arc::clone(&progress.step));
        thread::spawn(move || {
            loop {
                thread::sleep(INTERVAL);
                print(start, &step.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
        progress
    }

    /// Prints the step that begins.
    pub fn begin(&self, step: &str) {
        print(self.start, step);
        self.set(step);
    }

    /// Changes the text of the step without printing it at once.
    pub fn set(&self, step: &str) {
        let mut current = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        step.clone_into(&mut current);
    }
}

fn print(start: Instant, step: &str) {
    eprintln!("[{:4} s] {step}", start.elapsed().as_secs());
}
