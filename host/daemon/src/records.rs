//! Reads records of decisions from a file or from a daemon.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use flyball_decision::text;
use flyball_report::record::Record;

use crate::http::answers::{LEADER, LEFT_OUT};

/// Reads the records of a file, a line of JSON each. A line that is not a record is
/// logged with its number, counted, and skipped.
pub struct Records {
    name: String,
    lines: io::Split<Box<dyn BufRead>>,
    /// Number of lines read so far.
    line: u64,
    unreadable: u64,
}

/// Maximum number of unreadable lines that are logged individually.
const MAX_LOGGED: u64 = 20;

impl Records {
    /// Opens a file; `-` is standard input.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let text = flyball_files::open(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let reader: Box<dyn BufRead> = Box::new(BufReader::new(text));
        Ok(Self {
            name: path.display().to_string(),
            lines: reader.split(b'\n'),
            line: 0,
            unreadable: 0,
        })
    }

    /// Returns the number of lines so far that are not records.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    fn leave_out(&mut self, error: &anyhow::Error) {
        let Self { name, line, .. } = self;
        self.unreadable += 1;
        match self.unreadable {
            ..=MAX_LOGGED => tracing::warn!("{name}, line {line}, is left out: {error:#}"),
            n if n == MAX_LOGGED + 1 => tracing::warn!("{name}: more lines are left out"),
            _ => {}
        }
    }
}

impl Iterator for Records {
    type Item = anyhow::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.line += 1;
            let line = match self.lines.next()? {
                Ok(line) => line,
                Err(error) => {
                    let place = format!("{}, line {}", self.name, self.line);
                    return Some(Err(anyhow!(error).context(place)));
                }
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match Record::from_line(&line) {
                Ok(record) => return Some(Ok(record)),
                Err(error) => self.leave_out(&error.into()),
            }
        }
    }
}

/// Requests records from a daemon, oldest first. Returns an error that names the leader if
/// the daemon has none because it does not lead.
pub fn ask(server: &str, path: &str) -> anyhow::Result<Vec<Record>> {
    let answer = get(server, path)?;
    let record = |line: &str| Record::from_line(line.as_bytes());
    let records: Result<Vec<_>, _> = answer.body.lines().map(record).collect();
    let records = records.with_context(|| format!("cannot read the answer of {server}"))?;
    if records.is_empty() {
        answer.check_leads(server)?;
    }
    Ok(records)
}

/// A daemon's answer.
pub struct Answer {
    /// The body.
    pub body: String,
    /// The daemon that leads, if the one that answered does not.
    leader: Option<String>,
}

impl Answer {
    /// Checks that the daemon leads: one that does not decides nothing.
    pub fn check_leads(&self, server: &str) -> anyhow::Result<()> {
        match &self.leader {
            Some(leader) => {
                bail!("the daemon at {server} does not lead; {leader} leads: ask that one")
            }
            None => Ok(()),
        }
    }
}

/// Sends a GET request to a daemon. Logs if items were left out of the answer.
pub fn get(server: &str, path: &str) -> anyhow::Result<Answer> {
    let url = format!("{}{path}", server.trim_end_matches('/'));
    match ureq::get(&url).call() {
        Ok(mut response) => {
            let left_out = response.headers().get(LEFT_OUT);
            if let Some(Ok(left_out)) = left_out.map(|count| count.to_str()) {
                tracing::warn!("{url} left out {left_out} items: its answers are limited");
            }
            let leader = response.headers().get(LEADER);
            let leader = leader.map(|leader| String::from_utf8_lossy(leader.as_bytes()));
            let leader = leader.map(text::note);
            let body = response
                .body_mut()
                .with_config()
                .limit(u64::MAX)
                .read_to_string();
            let body = body.with_context(|| format!("cannot read the answer of {server}"))?;
            Ok(Answer { body, leader })
        }
        Err(ureq::Error::StatusCode(MISDIRECTED)) => bail!(
            "{server} is not a name that its daemon answers to: use its address, or start it \
             with --http-host"
        ),
        Err(ureq::Error::StatusCode(status)) => bail!("{url} answered with status {status}"),
        Err(error) => {
            let problem = match &error {
                ureq::Error::Io(error) => error.to_string(),
                error => error.to_string(),
            };
            bail!(
                "no daemon answers at {server} ({problem}): start `flyball run`, or name another \
                 one with --server"
            )
        }
    }
}

/// Status of a request for a host that is not served.
const MISDIRECTED: u16 = 421;
