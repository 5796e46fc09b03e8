//! Checks generated files in the repository: they must be the current output of their
//! command, or of the module that writes them.

mod page;
mod scenarios;
mod sdk;

use std::fs;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::command::output;
use crate::workspace;

/// The file that `flyball crd` prints.
const CRD: &str = "host/kubernetes/crd/replicaautoscalers.yaml";

/// Compares the files, or with `fix` writes them.
pub fn check(fix: bool) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    let root = workspace::root();
    let mut files = vec![
        (scenarios::PAGE, scenarios::page(&root)?),
        (sdk::PAGE, sdk::page(&root)?),
    ];
    let flyball = workspace::flyball()?;
    files.push((CRD, output(Command::new(flyball).arg("crd"))? + "\n"));
    for (file, content) in files {
        let path = root.join(file);
        if fs::read_to_string(&path).is_ok_and(|present| present == content) {
            continue;
        }
        if fix {
            fs::write(&path, content).with_context(|| format!("cannot write {file}"))?;
        } else {
            stale.push(file);
        }
    }
    if !stale.is_empty() {
        bail!(
            "out of date: {}; run `cargo xtask lint --fix`",
            stale.join(", ")
        );
    }
    Ok(())
}
