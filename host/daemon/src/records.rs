//! Records of decisions, read from a file or asked of a daemon.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use flyball_core::nodes::record::{NODE_FORMAT, NodeDecisionRecord};
use flyball_core::ports::ObjectKey;
use flyball_core::record::{DecisionRecord, FORMAT};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A record of either half.
pub enum Record {
    /// About replicas.
    Replicas(Box<DecisionRecord>),
    /// About nodes.
    Nodes(Box<NodeDecisionRecord>),
}

/// Reads the records of a file, a line of JSON each; `-` is standard input.
pub fn read(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Record>>> {
    let reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Box::new(BufReader::new(file))
    };
    let name = path.display().to_string();
    let lines = reader.lines().enumerate();
    Ok(lines.filter_map(move |(index, line)| {
        let place = || format!("{name}, line {}", index + 1);
        match line {
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => Some(parse(&line).with_context(place)),
            Err(error) => Some(Err(anyhow!(error).context(place()))),
        }
    }))
}

fn parse(line: &str) -> anyhow::Result<Record> {
    #[derive(Deserialize)]
    struct Form {
        format: String,
    }
    let problem = "not the record of a decision";
    let Form { format } = serde_json::from_str(line).context(problem)?;
    match &*format {
        FORMAT => Ok(Record::Replicas(
            serde_json::from_str(line).context(problem)?,
        )),
        NODE_FORMAT => Ok(Record::Nodes(serde_json::from_str(line).context(problem)?)),
        _ => bail!(
            "a record of format {format:?}: this flyball reads {FORMAT:?} and {NODE_FORMAT:?}"
        ),
    }
}

/// Asks a daemon for the latest records of an object, oldest first.
pub fn ask(server: &str, object: &ObjectKey, limit: usize) -> anyhow::Result<Vec<DecisionRecord>> {
    let (namespace, name) = (&object.namespace, &object.name);
    let text = get(
        server,
        &format!("/v1/records?object={namespace}/{name}&limit={limit}"),
    )?;
    lines(server, &text)
}

/// Asks a daemon for the latest records about nodes, oldest first.
pub fn ask_about_nodes(server: &str, limit: usize) -> anyhow::Result<Vec<NodeDecisionRecord>> {
    let text = get(server, &format!("/v1/node-records?limit={limit}"))?;
    lines(server, &text)
}

fn lines<R: DeserializeOwned>(server: &str, text: &str) -> anyhow::Result<Vec<R>> {
    let record = |line| serde_json::from_str(line);
    let records: Result<_, _> = text.lines().map(record).collect();
    records.with_context(|| format!("cannot read the answer of {server}"))
}

/// Asks a daemon.
pub fn get(server: &str, path: &str) -> anyhow::Result<String> {
    let url = format!("{}{path}", server.trim_end_matches('/'));
    match ureq::get(&url).call() {
        Ok(mut response) => {
            let body = response
                .body_mut()
                .with_config()
                .limit(u64::MAX)
                .read_to_string();
            body.with_context(|| format!("cannot read the answer of {server}"))
        }
        Err(ureq::Error::StatusCode(status)) => bail!("{url} answered with status {status}"),
        Err(error) => Err(anyhow!(error).context(format!(
            "no daemon answers at {server}: start `flyball run`, or name another one with --server"
        ))),
    }
}
