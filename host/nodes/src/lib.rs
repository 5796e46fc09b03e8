//! Node scale-up: which node group grows for pods that no existing node has room for.
//!
//! The stages are those of replicas, observe → decide → guard → act → record: the reader
//! keeps a [`state::ClusterState`] up to date, [`cloud`] lists the node groups and takes
//! the orders, [`choose`] asks the expanders, and [`record`] keeps all of it for
//! [`flyball_decision::replay`]. [`control`] is the loop.

pub mod backoff;
pub mod balance;
pub mod census;
pub mod chain;
pub mod choose;
pub mod cloud;
pub mod cluster_configuration;
pub mod control;
mod demand;
mod findings;
pub mod gpu;
pub mod guard;
pub mod limits;
mod max_disruption;
mod node_profile;
mod nominated;
pub mod options;
pub mod ports;
pub mod queued_state;
mod readiness;
pub mod reasons;
pub mod record;
pub mod replay;
mod reported;
pub mod scale_down;
pub mod scale_up;
pub mod similar;
pub mod standing;
pub mod state;
mod status;
pub mod templates;
pub mod zone_orders;
