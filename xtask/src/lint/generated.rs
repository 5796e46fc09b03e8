//! Checks generated files in the repository: they must be the current output of their
//! command, or of the module that writes them.

mod page;
mod scenarios;
mod sdk;

use std::fs;

use anyhow::{Context as _, bail};

use crate::command::output;
use crate::workspace;

/// A file, and the arguments of the cargo command that prints its content.
type Generated = (&'static str, &'static [&'static str]);

const GENERATED: [Generated; 1] = [(
    "host/kubernetes/crd/replicaautoscalers.yaml",
    &["run", "--quiet", "--package", "flyball", "--", "crd"],
)];

/// Compares the files, or with `fix` writes them.
pub fn check(fix: bool) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    let root = workspace::root();
    let mut files = vec![
        (scenarios::PAGE, scenarios::page(&root)?),
        (sdk::PAGE, sdk::page(&root)?),
    ];
    for (file, arguments) in GENERATED {
        files.push((file, output(workspace::cargo().args(arguments))? + "\n"));
    }
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
