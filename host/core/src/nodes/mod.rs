//! Nodes: which node group grows for pods that fit nowhere.
//!
//! The way is the one of replicas, observe → decide → guard → act → record: the
//! reader keeps a [`state::ClusterState`] up to date, [`cloud`] brings the node
//! groups in and takes the orders, [`expander`] is what the policies that choose
//! among options get and answer, and [`record`] keeps all of it for [`crate::replay`].

pub mod backoff;
pub mod balance;
pub mod census;
pub mod chain;
pub mod choose;
pub mod cloud;
pub mod control;
mod demand;
pub mod expander;
pub mod gpu;
pub mod guard;
pub mod limits;
mod nominated;
pub mod options;
pub mod ports;
pub mod priorities;
mod readiness;
pub mod record;
mod replay;
mod reported;
pub mod scale_up;
pub mod similar;
pub mod state;
pub mod templates;
pub mod zone_orders;
