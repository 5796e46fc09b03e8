//! A search tree over the free resources of many nodes, to find the first with room.
//! Inner nodes hold the largest free amount of each resource below.

/// Requests of a pod by resource, without zeros.
pub(super) type Amounts = [(usize, i64)];

/// Free amounts of a sequence of nodes.
#[derive(Clone)]
pub(super) struct Tree {
    resources: usize,
    /// Capacity in leaves: a power of two.
    space: usize,
    leaves: usize,
    /// Free amounts by tree node. The root is tree node 1, the first leaf `space`.
    free: Vec<i64>,
}

impl Tree {
    pub(super) fn new(resources: usize) -> Self {
        let space = 64;
        Self {
            resources,
            space,
            leaves: 0,
            free: vec![i64::MIN; 2 * space * resources],
        }
    }

    /// Builds a tree over so many nodes. `free` has the amounts of one node after the
    /// other.
    pub(super) fn of(nodes: usize, resources: usize, free: &[i64]) -> Self {
        let space = nodes.next_power_of_two().max(64);
        let mut tree = Self {
            resources,
            space,
            leaves: nodes,
            free: vec![i64::MIN; 2 * space * resources],
        };
        tree.free[space * resources..][..free.len()].copy_from_slice(free);
        tree.build();
        tree
    }

    pub(super) fn len(&self) -> usize {
        self.leaves
    }

    /// Adds a node at the end.
    pub(super) fn push(&mut self, free: &[i64]) {
        if self.leaves == self.space {
            self.grow(self.leaves + 1);
        }
        let at = self.space + self.leaves;
        self.leaves += 1;
        self.free[at * self.resources..][..self.resources].copy_from_slice(free);
        self.lift(at);
    }

    /// Adds nodes with the same free amounts at the end.
    pub(super) fn push_times(&mut self, free: &[i64], count: usize) {
        let leaves = self.leaves + count;
        if count == 0 {
            return;
        }
        if leaves > self.space {
            self.grow(leaves);
        }
        let (mut first, mut last) = (self.space + self.leaves, self.space + leaves - 1);
        self.leaves = leaves;
        for at in first..=last {
            self.free[at * self.resources..][..self.resources].copy_from_slice(free);
        }
        while first > 1 {
            (first, last) = (first / 2, last / 2);
            for at in first..=last {
                self.update(at);
            }
        }
    }

    /// Removes the node at the end.
    pub(super) fn pop(&mut self) {
        if let Some(last) = self.leaves.checked_sub(1) {
            let at = self.space + last;
            self.leaves = last;
            self.free[at * self.resources..][..self.resources].fill(i64::MIN);
            self.lift(at);
        }
    }

    /// Replaces the free amounts of a node.
    pub(super) fn set(&mut self, leaf: usize, free: &[i64]) {
        let at = self.space + leaf;
        self.free[at * self.resources..][..self.resources].copy_from_slice(free);
        self.lift(at);
    }

    /// Subtracts amounts from a node, `times` times.
    pub(super) fn take(&mut self, leaf: usize, amounts: &Amounts, times: i64) {
        let at = self.space + leaf;
        for &(resource, amount) in amounts {
            self.free[at * self.resources + resource] -= amount * times;
        }
        self.lift(at);
    }

    /// Returns how many times the amounts are free on a node.
    pub(super) fn times(&self, leaf: usize, amounts: &Amounts) -> u32 {
        let at = self.space + leaf;
        times(&self.free[at * self.resources..][..self.resources], amounts)
    }

    /// Returns the first node from `from` on where the amounts are free and that
    /// `fits`.
    pub(super) fn first(
        &self,
        from: usize,
        amounts: &Amounts,
        fits: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        self.first_with_visits(from, amounts, fits, || {})
    }

    /// Like [`Self::first`]. Calls `visit` for each tree node that it looks at.
    pub(super) fn first_with_visits(
        &self,
        from: usize,
        amounts: &Amounts,
        mut fits: impl FnMut(usize) -> bool,
        visit: impl Fn(),
    ) -> Option<usize> {
        let mut at = self.space + from;
        if from >= self.leaves {
            return None;
        }
        loop {
            visit();
            if is_free(&self.free[at * self.resources..][..self.resources], amounts) {
                if at < self.space {
                    at *= 2;
                    continue;
                }
                if fits(at - self.space) {
                    return Some(at - self.space);
                }
            }
            // Continue with the next subtree on the right.
            while at & 1 == 1 {
                at /= 2;
                if at == 0 {
                    return None;
                }
            }
            at += 1;
        }
    }

    fn lift(&mut self, leaf: usize) {
        let mut at = leaf / 2;
        while at > 0 && self.update(at) {
            at /= 2;
        }
    }

    /// Makes room for this number of leaves.
    fn grow(&mut self, number: usize) {
        let leaves = self.free[self.space * self.resources..].to_vec();
        self.space = number.next_power_of_two();
        self.free = vec![i64::MIN; 2 * self.space * self.resources];
        self.free[self.space * self.resources..][..leaves.len()].copy_from_slice(&leaves);
        self.build();
    }

    /// Computes the largest amounts below each inner node.
    fn build(&mut self) {
        for at in (1..self.space).rev() {
            self.update(at);
        }
    }

    /// Computes the largest amounts below an inner node. Returns whether they changed.
    fn update(&mut self, at: usize) -> bool {
        let mut changed = false;
        for resource in 0..self.resources {
            let of = |node: usize| self.free[node * self.resources + resource];
            let larger = of(2 * at).max(of(2 * at + 1));
            let known = &mut self.free[at * self.resources + resource];
            changed |= *known != larger;
            *known = larger;
        }
        changed
    }
}

/// Whether the amounts are free.
pub(super) fn is_free(free: &[i64], amounts: &Amounts) -> bool {
    let mut amounts = amounts.iter();
    amounts.all(|&(resource, amount)| amount <= free[resource])
}

/// Returns how many times the amounts are free.
pub(super) fn times(free: &[i64], amounts: &Amounts) -> u32 {
    let each = amounts
        .iter()
        .filter(|(_, amount)| *amount > 0)
        .map(|&(resource, amount)| free[resource].max(0) / amount);
    u32::try_from(each.min().unwrap_or_default()).unwrap_or(u32::MAX)
}
