//! End-to-end tests of the binary: real processes, real files, a real control plane.
//! Everything listens only on the loopback interface.
#![allow(clippy::unwrap_used, reason = "tests")]

mod authoring;
mod broken_versions;
mod browser;
mod cli;
mod completions;
mod crash_points;
mod daemon;
mod demo;
mod deployed;
mod encodings;
mod expanders;
mod failing_policies;
mod guides;
mod halves;
mod idle;
mod journal;
mod loader;
mod lost_lease;
mod metrics;
mod metrics_apis;
mod node_groups;
mod nodes;
mod nodes_world;
mod outage;
mod plan;
mod plan_kinds;
mod plan_removals;
mod proxy;
mod real_cluster;
mod records;
mod removals;
mod report;
mod restart;
mod simulate;
mod slow_api;
mod stalls;
mod strangers;
mod support;
mod swaps;
mod targets;
mod tenants;
mod test_cluster;
mod why_node;
mod widths;
