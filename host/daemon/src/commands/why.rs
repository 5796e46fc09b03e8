//! `flyball why`.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use flyball_decision::key::ObjectKey;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::DecisionRecord;
use flyball_report::document::{ABOUT_NODES, Document, Documented};
use flyball_report::record::Record;
use serde::Serialize;

use super::Exit;
use crate::cli::{Format, WhyArgs};
use crate::http::object_key;
use crate::output;
use crate::records::{self, Records};

pub fn run(args: &WhyArgs) -> anyhow::Result<Exit> {
    if args.object == ABOUT_NODES {
        return why_nodes(args);
    }
    let object = object_key(&args.object)?;
    let ((found, exit), place) = match &args.records {
        Some(path) => (
            from_file(path, &object, args.limit)?,
            path.display().to_string(),
        ),
        None => {
            let found = records::ask(&args.server, &object, args.limit)?;
            ((found, Exit::Success), args.server.clone())
        }
    };
    ensure!(
        !found.is_empty(),
        "no decision about {} is known at {place}: is there a ReplicaAutoscaler of that name?",
        args.object
    );
    print(args, &found, Documented::document)?;
    Ok(exit)
}

fn why_nodes(args: &WhyArgs) -> anyhow::Result<Exit> {
    let (found, exit): (Vec<NodeDecisionRecord>, _) = match &args.records {
        Some(path) => latest(path, args.limit, |record| match record {
            Record::Nodes(record) => Some(Arc::unwrap_or_clone(record)),
            Record::Replicas(_) => None,
        })?,
        None => (
            records::ask_about_nodes(&args.server, args.limit)?,
            Exit::Success,
        ),
    };
    ensure!(
        !found.is_empty(),
        "no decision about nodes is known: does the daemon run with --nodes or --node-group-auto-discovery?"
    );
    print(args, &found, Documented::document)?;
    Ok(exit)
}

fn from_file(
    path: &Path,
    object: &ObjectKey,
    limit: usize,
) -> anyhow::Result<(Vec<DecisionRecord>, Exit)> {
    latest(path, limit, |record| match record {
        Record::Replicas(record) if record.object == *object => Some(Arc::unwrap_or_clone(record)),
        _ => None,
    })
}

/// Returns the last matching records of a file, and the exit code.
fn latest<R>(
    path: &Path,
    limit: usize,
    of_use: impl Fn(Record) -> Option<R>,
) -> anyhow::Result<(Vec<R>, Exit)> {
    let mut latest = VecDeque::new();
    let mut records = Records::open(path)?;
    for record in records.by_ref() {
        latest.extend(of_use(record?));
        if latest.len() > limit {
            latest.pop_front();
        }
    }
    let exit = match records.unreadable() {
        0 => Exit::Success,
        _ => Exit::Different,
    };
    Ok((latest.into(), exit))
}

fn print<R: Serialize>(
    args: &WhyArgs,
    found: &[R],
    document: impl Fn(&R) -> Document,
) -> anyhow::Result<()> {
    if args.output.format == Format::Json {
        return output::print_json(&found);
    }
    let mut out = output::out();
    for record in found {
        writeln!(out, "{}", document(record).text(&output::paint))?;
    }
    Ok(())
}
