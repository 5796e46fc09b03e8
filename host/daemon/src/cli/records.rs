//! `flyball replay` and `flyball why`: arguments.

use std::path::PathBuf;

use clap::Args;

use super::FormatArgs;
use super::budgets::Compilation;
use super::completion;
use super::directories::{PoliciesDir, StateDir};
use super::values::server;
use crate::http::answers::MAX_RECORDS;

/// Decide recorded decisions again, and show what differs
///
/// A record has the whole input of its decision. The policy that made it (or
/// another one) is asked again, the guardrails are applied, and the verdicts are
/// compared. Exits with 3 if a verdict differs, or if a line is not a record, such
/// as one that a crash cut short; such lines are named and skipped.
///
/// Policies are found by digest: among the built-in ones, in the policies
/// directory, and among the last good versions that the daemon keeps.
///
/// Examples:
///   flyball replay decisions.jsonl
///   flyball replay decisions.jsonl --policy my-policy.wasm
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ReplayArgs {
    /// Records, a line of JSON each, as --records writes them; - is standard input
    pub records: PathBuf,
    /// Ask this policy in place of the recorded ones of its kinds: a file, or a
    /// built-in's name
    #[arg(long, value_name = "POLICY", add = completion::policies())]
    pub policy: Option<String>,
    #[command(flatten)]
    pub policies: PoliciesDir,
    #[command(flatten)]
    pub state: StateDir,
    #[command(flatten)]
    pub compilation: Compilation,
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Explain the last decisions about an object or about nodes, or why a node is still there
///
/// Examples:
///   flyball why default/web
///   flyball why nodes
///   flyball why node/ip-10-0-3-7
///   flyball why default/web -n 20 --records decisions.jsonl
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct WhyArgs {
    /// The ReplicaAutoscaler; `nodes`: which node groups grew or shrank, or why none did;
    /// or `node/NAME`: why this node stays, or when and how it goes
    #[arg(value_name = "NAMESPACE/NAME|nodes|node/NAME", add = completion::objects())]
    pub object: String,
    /// The daemon to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8085", value_parser = server)]
    pub server: String,
    /// Read records from FILE in place of asking a daemon
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    pub records: Option<PathBuf>,
    /// Number of decisions, the latest last; at most 10000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5, value_parser = limit)]
    pub limit: usize,
    #[command(flatten)]
    pub output: FormatArgs,
}

fn limit(text: &str) -> Result<usize, String> {
    let limit: usize = text.parse().map_err(|_| "not a number".to_owned())?;
    match limit {
        0..=MAX_RECORDS => Ok(limit),
        _ => Err(format!("must be at most {MAX_RECORDS}")),
    }
}
