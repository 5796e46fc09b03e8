//! Records of decisions, read from a file or asked of a daemon.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail, ensure};
use flyball_core::ports::ObjectKey;
use flyball_core::record::{DecisionRecord, FORMAT};

/// Reads the records of a file, a line of JSON each; `-` is standard input.
pub fn read(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<DecisionRecord>>> {
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

fn parse(line: &str) -> anyhow::Result<DecisionRecord> {
    let record: DecisionRecord =
        serde_json::from_str(line).context("not the record of a decision")?;
    ensure!(
        &*record.format == FORMAT,
        "a record of format {:?}: this flyball reads {FORMAT:?}",
        record.format
    );
    Ok(record)
}

/// Asks a daemon for the latest records of an object, oldest first.
pub fn ask(server: &str, object: &ObjectKey, limit: usize) -> anyhow::Result<Vec<DecisionRecord>> {
    let (namespace, name) = (&object.namespace, &object.name);
    let text = get(
        server,
        &format!("/v1/records?object={namespace}/{name}&limit={limit}"),
    )?;
    text.lines()
        .map(|line| parse(line).with_context(|| format!("the answer of {server}")))
        .collect()
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
