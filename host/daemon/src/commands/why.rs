//! `flyball why`.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;

use anyhow::ensure;
use flyball_core::ports::ObjectKey;
use flyball_core::record::DecisionRecord;

use super::Exit;
use crate::cli::{Format, WhyArgs};
use crate::http::object_key;
use crate::{output, records};

pub fn run(args: &WhyArgs) -> anyhow::Result<Exit> {
    let object = object_key(&args.object)?;
    let (found, place) = match &args.records {
        Some(path) => (
            from_file(path, &object, args.limit)?,
            path.display().to_string(),
        ),
        None => (
            records::ask(&args.server, &object, args.limit)?,
            args.server.clone(),
        ),
    };
    ensure!(
        !found.is_empty(),
        "no decision about {} is known at {place}: is there a ReplicaAutoscaler of that name?",
        args.object
    );
    match args.output.format {
        Format::Json => output::print_json(&found)?,
        Format::Text => print(&found)?,
    }
    Ok(Exit::Success)
}

fn from_file(path: &Path, object: &ObjectKey, limit: usize) -> anyhow::Result<Vec<DecisionRecord>> {
    let mut latest = VecDeque::new();
    for record in records::read(path)? {
        let record = record?;
        if record.object == *object {
            latest.push_back(record);
            if latest.len() > limit {
                latest.pop_front();
            }
        }
    }
    Ok(latest.into())
}

fn print(found: &[DecisionRecord]) -> anyhow::Result<()> {
    let mut out = output::out();
    for record in found {
        writeln!(out, "{}", flyball_core::explain::explain(record))?;
    }
    Ok(())
}
