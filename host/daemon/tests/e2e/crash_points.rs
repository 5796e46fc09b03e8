//! Crashes of the daemon between every two of its writes: `kill -9`, then a restart at once,
//! a restart ten minutes later, or another leader whose clock is two seconds behind. The
//! cluster and AWS are those of `nodes_world`; a journal of all writes kills the daemon.
//!
//! One cell of each row runs with all tests. `cargo xtask campaign crash` runs all cells,
//! also those in which calls of the cloud fail and the daemon goes on, and writes their
//! outcomes to `docs/campaigns/crash.md`.

mod cell;
mod checks;
mod rows;
mod stage;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::cell::Cell;
use self::rows::{CALLS, FAULTS, ROWS, Restart, undisturbed};
use self::stage::Stage;
use self::table::Table;
use crate::journal::CloudFault;

/// Attempts of the cloud's client.
const ATTEMPTS: usize = 3;

/// If set, all cells run, and their outcomes are written to this file.
const RESULTS: &str = "FLYBALL_CRASH_RESULTS";

/// If set, only the rows run whose names contain this text.
const ONLY: &str = "FLYBALL_CRASH_ROWS";

#[test]
fn every_crash_is_recovered_from() {
    let results = std::env::var_os(RESULTS);
    let runs_all = results.is_some();
    let only = std::env::var(ONLY).unwrap_or_default();
    let stage = Stage::new();
    let mut table = Table::default();
    if let Some(file) = &results {
        // Rows that do not run keep their outcomes.
        table.read(&std::fs::read_to_string(file).unwrap_or_default());
    }
    // After each cell: a campaign that is interrupted has results as well.
    let write = |table: &Table| {
        if let Some(file) = &results {
            std::fs::write(file, table.to_string()).unwrap();
        }
    };
    for row in ROWS.iter().filter(|row| row.name.contains(&only)) {
        for restart in Restart::ALL {
            if runs_all || restart == row.in_ci {
                let cell = Cell::new(&stage, row, restart, runs_all);
                table.add(row.name, restart.name(), outcome(&cell));
                write(&table);
            }
        }
    }
    for (name, kind) in FAULTS.iter().filter(|(name, _)| name.contains(&only)) {
        for (column, action, scene) in CALLS {
            if runs_all {
                let row = undisturbed(scene);
                let mut cell = Cell::new(&stage, &row, Restart::AtOnce, runs_all);
                let (kind, left) = (*kind, ATTEMPTS);
                cell.fault = Some(CloudFault { action, kind, left });
                table.add(name, column, outcome(&cell));
                write(&table);
            }
        }
    }
    let failures = table.failures();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Runs a cell, and deletes all that it made. Returns its outcome in words, or why it
/// failed.
fn outcome(cell: &Cell<'_>) -> Result<String, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| cell.run()));
    cell.stage.clear();
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("it failed").to_owned()
    })
}
