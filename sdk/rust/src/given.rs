//! What every decision gets, whatever its kind: time, seed, configuration, state,
//! and the answers to wishes.

use crate::bindings::types;
use crate::time::Time;

/// The configuration of a policy that takes none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoConfig {}

/// The state of a policy that keeps none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoState {}

/// The contract's context, read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given<C, S> {
    pub(crate) now: Time,
    pub(crate) seed: u64,
    pub(crate) granted: Vec<types::GrantedInput>,
    pub(crate) config: C,
    pub(crate) state: S,
}

impl<C: Default, S: Default> Default for Given<C, S> {
    fn default() -> Self {
        Self {
            now: Time::from_ms(1_000_000_000_000),
            seed: 0,
            granted: Vec::new(),
            config: C::default(),
            state: S::default(),
        }
    }
}

/// The methods by which an input with a field `given` shows it.
macro_rules! show_given {
    () => {
        /// The policy's configuration.
        #[must_use]
        pub const fn config(&self) -> &C {
            &self.given.config
        }

        /// What the policy returned as state at its last decision for this object;
        /// the default at first, and after a swap to another state version.
        #[must_use]
        pub const fn state(&self) -> &S {
            &self.given.state
        }

        /// When the decision is made.
        #[must_use]
        pub const fn now(&self) -> $crate::Time {
            self.given.now
        }

        /// For choices by chance: the same seed, the same choice.
        #[must_use]
        pub const fn seed(&self) -> u64 {
            self.given.seed
        }

        /// The answer to the policy's wish number `want`, counted from 0.
        #[must_use]
        pub fn granted(&self, want: usize) -> Option<$crate::Granted<'_>> {
            self.given.granted.get(want).map($crate::Granted)
        }
    };
}

/// The methods by which the builder around such an input fills it in.
macro_rules! build_given {
    () => {
        /// The configuration.
        pub fn config(mut self, config: C) -> Self {
            self.0.given.config = config;
            self
        }

        /// The state.
        pub fn state(mut self, state: S) -> Self {
            self.0.given.state = state;
            self
        }

        /// When the decision is made.
        pub fn at(mut self, now: $crate::Time) -> Self {
            self.0.given.now = now;
            self
        }

        /// When the decision is made, as far as it is said by now.
        #[must_use]
        pub const fn now(&self) -> $crate::Time {
            self.0.given.now
        }

        /// The seed for choices by chance.
        pub fn seed(mut self, seed: u64) -> Self {
            self.0.given.seed = seed;
            self
        }
    };
}

pub(crate) use {build_given, show_given};
