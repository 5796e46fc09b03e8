//! Quality measures of plans, for tests and benchmarks: clusters to plan for
//! ([`production`], [`Draft`]), the placement of the pods on the ordered nodes
//! ([`carry_out`]), and the number of nodes of a greedy planner ([`Field`]).

mod carry_out;
mod draft;
mod engine;
mod greedy;
pub mod production;
mod random;
mod shapes;
mod world;

pub use self::carry_out::{Answer, Outcome, carry_out};
pub use self::draft::{Draft, draft};
pub use self::engine::{EVERYTHING_MAY_GO, everything_may_go, fewest_nodes};
pub use self::greedy::{Field, Greedy};
pub use self::random::Random;
pub use self::shapes::{HOSTNAME, Kind, REVISION, ZONE};
pub use self::world::{NOW, World};
