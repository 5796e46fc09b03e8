//! Ports that every loop needs: its clock, and what it decides with.

use std::future::Future;
use std::sync::Arc;

use crate::memory::StateStore;
use crate::policy::PolicyEngine;
use crate::recorder::Recorder;
use crate::time::Timestamp;

/// A clock: real, or as fast as a simulation can run.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Waits until `at`, or until the set of autoscalers or a spec has changed; may
    /// return early. Returns false if the loop is to end.
    fn sleep_until(&self, at: Timestamp) -> impl Future<Output = bool> + Send;

    /// False once shutdown was requested. The loop then ends without deciding on what it
    /// has just observed. It still finishes what it is carrying out.
    fn should_continue(&self) -> bool {
        true
    }
}

impl<C: Clock> Clock for &C {
    fn now(&self) -> Timestamp {
        C::now(self)
    }

    fn sleep_until(&self, at: Timestamp) -> impl Future<Output = bool> + Send {
        C::sleep_until(self, at)
    }

    fn should_continue(&self) -> bool {
        C::should_continue(self)
    }
}

/// What a loop needs to decide besides the cluster: policies, recorder, and state store.
pub struct DecisionPorts<R> {
    /// Finds policies.
    pub engine: Arc<dyn PolicyEngine>,
    /// Takes the records of decisions.
    pub recorder: Arc<dyn Recorder<R>>,
    /// Stores the states of policies.
    pub store: Arc<dyn StateStore>,
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use crate::time::Timestamp;

    /// A clock that has ended.
    struct Ended;

    impl Clock for Ended {
        fn now(&self) -> Timestamp {
            Timestamp(7)
        }

        async fn sleep_until(&self, _: Timestamp) -> bool {
            false
        }

        fn should_continue(&self) -> bool {
            false
        }
    }

    fn continues(clock: impl Clock) -> bool {
        clock.should_continue()
    }

    #[test]
    fn a_borrowed_clock_ends_when_its_owner_does() {
        assert!(!continues(&Ended));
    }
}
