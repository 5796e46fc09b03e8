//! Displays a generated cluster when a test fails.

use std::fmt;

use super::{CPU, Draft, MEMORY, ROOMS, SIZES, Workload, zone_name};

impl fmt::Display for Draft {
    /// Writes a line for each kind of nodes, node and workload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} zones", self.zones)?;
        for (number, kind) in self.kinds.iter().enumerate() {
            let (cores, gib) = SIZES[kind.size];
            let zones = (0..self.zones).filter(|zone| kind.is_in(*zone, self.zones));
            let zones: Vec<String> = zones.map(zone_name).collect();
            write!(
                f,
                "groups k{number}: {cores} cores, {gib} GiB, in {}",
                zones.join(" ")
            )?;
            write!(f, ", {} nodes more each", ROOMS[kind.room])?;
            writeln!(f, "{}", if kind.tainted { ", tainted" } else { "" })?;
        }
        for (at, node) in self.nodes.iter().enumerate() {
            let kind = node.kind % self.kinds.len();
            let zone = zone_name(node.zone % self.zones);
            writeln!(f, "node-{at}: k{kind} in {zone}, {} % full", node.full * 10)?;
        }
        for (number, workload) in self.workloads.iter().enumerate() {
            let Workload { waiting, wish, .. } = workload;
            let (cpu, memory) = (CPU[workload.cpu], MEMORY[workload.memory]);
            write!(
                f,
                "w{number}: {waiting} pods of {cpu}m, {memory}Mi: {wish:?}"
            )?;
            if let Some(zone) = workload.zone {
                write!(f, ", only in {}", zone_name(zone % self.zones))?;
            }
            write!(f, "{}", if workload.tolerates { ", tolerant" } else { "" })?;
            write!(f, "{}", if workload.first { ", first" } else { "" })?;
            writeln!(f, "; runs on nodes {:?}", workload.running)?;
        }
        Ok(())
    }
}
