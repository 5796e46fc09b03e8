//! Nodes: which node group grows for pods that fit nowhere.
//!
//! [`cloud`] is the port to what node groups live in, [`expander`] the input and
//! the answer of the policies that choose among options.

pub mod cloud;
pub mod expander;
