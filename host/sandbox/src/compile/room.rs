//! How much memory children may take: all together have one amount. Each may take what
//! it has and its part of what is free.

use crate::compile::supervisor::{Child, Supervisor};

/// Part of the memory that must be free for another child to start.
const START_PART: u64 = 4;

impl Supervisor {
    pub fn free_memory(&self) -> u64 {
        let used: u64 = self.children.iter().map(|child| child.usage.memory).sum();
        self.memory.saturating_sub(used)
    }

    /// Whether a job of that level may start beside the children that there are.
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

    /// Ends the child that stands in the way of a job of that level, if there is one that
    /// should give way: then it begins anew later, when there are no others.
    pub fn make_room(&mut self, level: usize) -> bool {
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

    /// Lets each running child have what it has and its part of what is free. Those that
    /// are stopped take nothing meanwhile.
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
