//! The embedded cluster: workloads, pods and load in virtual time, behind the
//! same ports as a real cluster.
//!
//! A [`Scenario`] says what there is and what happens. A [`Cluster`] is that
//! world behind the core's `Reader` and `Writer`; [`simulate`] drives it through
//! the production loop as fast as it can go, and whoever has a clock can drive
//! it in real time (with a [`time::ClockMap`]). A [`Run`] is what became of it:
//! the [`summary`] has its figures, [`report`] shows it as a page.
//!
//! Same scenario, same policies, same result to the byte: all chance comes from
//! the scenario's seed, functions of real numbers from `libm`, and nothing is
//! kept in the order of a hash. This crate reads no clock, and files only where
//! a scenario names them.

mod cluster;
mod formula;
mod journal;
mod load;
mod loops;
mod random;
pub mod report;
mod run;
pub mod scenario;
pub mod summary;
mod text;
pub mod time;
mod timeline;
mod world;

pub use cluster::Cluster;
pub use formula::{Formula, InvalidFormula, Moment};
pub use journal::{Decision, Entries, Journal, NodeEntries, PolicyChange, PolicyUse};
pub use loops::{Equipment, Loops};
pub use run::{
    Contender, NodesRun, Options, PolicySwapper, Progress, Run, RunError, WorkloadRun,
    check_policies, compare, simulate,
};
pub use scenario::{Scenario, ScenarioError};
pub use summary::{NodeSummary, Summary};
pub use timeline::{Fleet, GroupHistory, Histogram, Tally, Timeline};
pub use world::{AbsurdLoad, DueSwap, NodeTotals, Totals};
