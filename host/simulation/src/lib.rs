//! The embedded cluster: workloads, pods and load in virtual time, behind the same ports
//! as a real cluster.
//!
//! A [`Scenario`] describes the cluster and the events. A [`Cluster`] is that world
//! behind the ports of the loops; [`simulate`] drives it through the production
//! loop as fast as possible, and a caller with a clock can drive it in real time (with a
//! [`time::ClockMap`]). A [`Run`] is the result.
//!
//! The same scenario and policies give the same result, to the byte: random numbers
//! depend on the scenario's seed, functions of real numbers come from `libm`, and nothing
//! is iterated in hash order. This crate reads no clock, and only the files that a
//! scenario names.

mod cluster;
mod formula;
mod journal;
mod load;
mod loops;
mod random;
mod recorders;
mod run;
pub mod scenario;
mod summary;
pub mod time;
mod timeline;
mod world;

pub use cluster::Cluster;
pub use formula::{Formula, InvalidFormula, Moment};
pub use journal::{
    Decision, Entries, Journal, MetricReads, NodeEntries, PolicyChange, PolicyUse, PolicyUses,
};
pub use loops::{LoopSetup, Loops};
pub use recorders::{Recorders, RunRecorder};
pub use run::{
    Contender, NodesRun, Options, PolicySwapper, Progress, Run, RunError, WorkloadRun,
    check_policies, compare, simulate,
};
pub use scenario::{Scenario, ScenarioError};
pub use summary::{NodeSummary, RemovalSummary, Summary};
pub use timeline::{Fleet, GroupHistory, Histogram, Removals, RemovedNode, Tally, Timeline};
pub use world::{DueSwap, InvalidLoad, NodeTotals, Totals};
