//! How the children share memory: all together have one budget. Each may use what it has
//! and an equal part of what is free.

use crate::compile::supervisor::{Child, Supervisor};

/// Part of the budget that must be free for another child to start.
const START_PART: u64 = 4;

impl Supervisor {
    pub fn free_memory(&self) -> u64 {
        let used: u64 = self.children.iter().map(|child| child.usage.memory).sum();
        self.memory.saturating_sub(used)
    }

    /// Reports whether a job of that level may start besides the present children.
    pub fn has_room(&self, level: usize, alone: bool) -> bool {
        if self.children.is_empty() {
            return true;
        }
        let disturbs =
            |child: &Child| !child.stopped && child.job.alone && child.job.level() <= level;
        !alone
            && !self.children.iter().any(disturbs)
            && self.free_memory() >= self.memory / START_PART
    }

    /// Ends the child that keeps a job of that level from starting, if there is one of
    /// lower priority. Its job is started again later, when no other child runs.
    pub fn make_room(&mut self, level: usize) -> bool {
        if self.free_memory() >= self.memory / START_PART {
            // The obstacle is not a lack of memory.
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

    /// Sets each running child's memory limit to what it has and its part of what is
    /// free. Stopped children get no part.
    pub fn share_memory(&mut self) {
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
}
