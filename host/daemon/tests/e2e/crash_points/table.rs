//! The outcomes as a document.

use std::collections::BTreeMap;
use std::fmt;

use super::rows::{CALLS, FAULTS, ROWS, Restart};

const FAILED: &str = "**failed**";
const NOT_RUN: &str = "not run";

/// The outcome of each cell, by row and column.
#[derive(Default)]
pub struct Table(BTreeMap<(&'static str, &'static str), Result<String, String>>);

impl Table {
    pub fn add(
        &mut self,
        row: &'static str,
        column: &'static str,
        outcome: Result<String, String>,
    ) {
        println!("{row} × {column}: {outcome:?}");
        self.0.insert((row, column), outcome);
    }

    /// Adds the outcomes of a document, for rows that do not run.
    pub fn read(&mut self, document: &str) {
        for line in document.lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let Some(&name) = cells.get(1) else { continue };
            let crash = ROWS.iter().find(|row| row.name == name);
            let fault = FAULTS.iter().find(|fault| fault.0 == name);
            if let Some(row) = crash {
                let columns = Restart::ALL.map(Restart::name);
                self.read_row(row.name, &columns, cells.get(3..));
            } else if let Some((row, _)) = fault {
                let columns = CALLS.map(|(column, ..)| column);
                self.read_row(row, &columns, cells.get(2..));
            }
        }
    }

    fn read_row(&mut self, row: &'static str, columns: &[&'static str], cells: Option<&[&str]>) {
        let cells = columns.iter().zip(cells.unwrap_or_default());
        let known = cells.filter(|(_, cell)| !matches!(**cell, "" | NOT_RUN | FAILED));
        let known = known.map(|(column, cell)| ((row, *column), Ok((*cell).to_owned())));
        self.0.extend(known);
    }

    /// Writes the outcome of a cell, with the end of its column.
    fn cell(&self, f: &mut fmt::Formatter<'_>, row: &str, column: &str) -> fmt::Result {
        match self.0.get(&(row, column)) {
            Some(Ok(outcome)) => write!(f, " {outcome} |"),
            Some(Err(_)) => write!(f, " {FAILED} |"),
            None => write!(f, " {NOT_RUN} |"),
        }
    }

    /// Returns a text for each cell that failed.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.0.iter();
        failed
            .filter_map(|((row, column), outcome)| {
                let why = outcome.as_ref().err()?;
                Some(format!("{row} × {column}: {why}"))
            })
            .collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "# Crash points\n\n\
             `cargo xtask campaign crash` writes this page. It kills the daemon (`kill -9`) at \
             each row's write, on the control plane of the tests and on moto, and then starts \
             it again, or lets another leader take over. In all cells: no group is below its \
             minimum, no budget is broken, no pod is evicted twice, no pod but those that were \
             on the node is evicted, no taint and no cordon of ours is on a node that stays, \
             and every drain goes on or is taken back within two passes.\n\n\
             Taint, cordon and annotation of a node are one write, so no crash comes between \
             them.\n\n",
        )?;
        f.write_str("| after | expected |")?;
        for restart in Restart::ALL {
            write!(f, " {} |", restart.name())?;
        }
        f.write_str("\n|---|---|---|---|---|\n")?;
        for row in ROWS {
            write!(f, "| {} | {} |", row.name, row.expected)?;
            for restart in Restart::ALL {
                self.cell(f, row.name, restart.name())?;
            }
            f.write_str("\n")?;
        }
        f.write_str(
            "\n## Faults of the cloud\n\nThe daemon goes on, and all three attempts of its \
             client fail.\n\n| fault |",
        )?;
        for (column, ..) in CALLS {
            write!(f, " {column} |")?;
        }
        f.write_str("\n|---|---|---|\n")?;
        for (row, _) in FAULTS {
            write!(f, "| {row} |")?;
            for (column, ..) in CALLS {
                self.cell(f, row, column)?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}
