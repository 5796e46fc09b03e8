//! `flyball why`.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use flyball_decision::key::ObjectKey;
use flyball_nodes::standing::{NodeStanding, NodeStandings};
use flyball_report::document::{ABOUT_NODES, Documented as _};
use flyball_report::record::Record;

use super::Exit;
use crate::cli::{Format, WhyArgs};
use crate::http::object_key;
use crate::output;
use crate::records::{self, Records};

/// Begins the name of a node.
const NODE: &str = "node/";

pub fn run(args: &WhyArgs) -> anyhow::Result<Exit> {
    if let Some(node) = args.object.strip_prefix(NODE) {
        return run_node(args, node);
    }
    let about = About::parse(&args.object)?;
    let (found, exit, place) = match &args.records {
        Some(path) => {
            let (found, exit) = latest(path, args.limit, &about)?;
            (found, exit, path.display().to_string())
        }
        None => {
            let found = records::ask(&args.server, &about.path(args.limit))?;
            (found, Exit::Success, args.server.clone())
        }
    };
    let object = &args.object;
    match about {
        About::Nodes => ensure!(
            !found.is_empty(),
            "no decision about nodes is known: does the daemon run with --nodes or --node-group-auto-discovery?"
        ),
        About::Object(_) => ensure!(
            !found.is_empty(),
            "no decision about {object} is known at {place}: is there a ReplicaAutoscaler of that name?"
        ),
    }
    print(args, &found)?;
    Ok(exit)
}

/// Explains where a node stands.
fn run_node(args: &WhyArgs, node: &str) -> anyhow::Result<Exit> {
    let (standing, exit, place) = match &args.records {
        Some(path) => {
            let (standing, exit) = latest_standing(path, node)?;
            (standing, exit, path.display().to_string())
        }
        None => {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
            ensure!(
                !node.is_empty() && node.chars().all(is_name),
                "{:?} names no node: write node/NAME, such as node/ip-10-0-3-7",
                args.object
            );
            let answer = records::get(&args.server, &format!("/v1/nodes?name={node}"))?;
            let found: Vec<NodeStanding> = serde_json::from_str(&answer.body)
                .with_context(|| format!("cannot read the answer of {}", args.server))?;
            if found.is_empty() {
                answer.check_leads(&args.server)?;
            }
            (found.into_iter().next(), Exit::Success, args.server.clone())
        }
    };
    let standing = standing.with_context(|| {
        format!(
            "nothing is known about node {node} at {place}: is there a node of that name, and \
             does the daemon run with node groups and without --scale-down=off?"
        )
    })?;
    match args.output.format {
        Format::Json => output::print_json(&standing)?,
        Format::Text => write!(
            output::out(),
            "{}",
            standing.document().text(output::printer())
        )?,
    }
    Ok(exit)
}

/// Returns where a node stands by the records of a file, and the exit code.
fn latest_standing(path: &Path, node: &str) -> anyhow::Result<(Option<NodeStanding>, Exit)> {
    let mut standings = NodeStandings::default();
    let mut records = Records::open(path)?;
    for record in records.by_ref() {
        if let Record::Nodes(record) = record? {
            standings.add(&record);
        }
    }
    Ok((standings.get(node).cloned(), exit_of(&records)))
}

fn exit_of(records: &Records) -> Exit {
    match records.unreadable() {
        0 => Exit::Success,
        _ => Exit::Different,
    }
}

/// What the decisions are about.
enum About {
    Nodes,
    /// An autoscaler.
    Object(ObjectKey),
}

impl About {
    fn parse(object: &str) -> anyhow::Result<Self> {
        match object {
            ABOUT_NODES => Ok(Self::Nodes),
            _ => Ok(Self::Object(object_key(object)?)),
        }
    }

    fn is_about(&self, record: &Record) -> bool {
        match (self, record) {
            (Self::Nodes, Record::Nodes(_)) => true,
            (Self::Object(object), Record::Replicas(record)) => record.object == *object,
            _ => false,
        }
    }

    /// Returns the path at which a daemon serves the latest records.
    fn path(&self, limit: usize) -> String {
        match self {
            Self::Nodes => format!("/v1/node-records?limit={limit}"),
            Self::Object(ObjectKey { namespace, name }) => {
                format!("/v1/records?object={namespace}/{name}&limit={limit}")
            }
        }
    }
}

/// Returns the last matching records of a file, and the exit code.
fn latest(path: &Path, limit: usize, about: &About) -> anyhow::Result<(Vec<Record>, Exit)> {
    let mut latest = VecDeque::new();
    let mut records = Records::open(path)?;
    for record in records.by_ref() {
        latest.extend(Some(record?).filter(|record| about.is_about(record)));
        if latest.len() > limit {
            latest.pop_front();
        }
    }
    let exit = exit_of(&records);
    Ok((latest.into(), exit))
}

fn print(args: &WhyArgs, found: &[Record]) -> anyhow::Result<()> {
    if args.output.format == Format::Json {
        return output::print_json(&found);
    }
    let mut out = output::out();
    for record in found {
        writeln!(out, "{}", record.document().text(output::printer()))?;
    }
    Ok(())
}
