//! Single rules: guardrails, splitting and similarity of node groups, and what the
//! cluster's state forgets.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod balance;
mod balance_vectors;
mod budgets;
mod drain_inputs;
mod nodes_forget;
mod similar_vectors;
