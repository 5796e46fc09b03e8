//! `flyball simulate` and `flyball demo`: arguments.

use std::path::PathBuf;

use clap::Args;

use super::FormatArgs;
use super::directories::PoliciesDir;

/// Run a scenario in virtual time, as fast as it goes, and write a report
///
/// The embedded cluster is driven by the daemon's own loop and the daemon's own
/// policies: only the clock, the reader and the writer differ. The same scenario
/// and seed give the same result, to the byte.
///
/// Examples:
///   flyball simulate examples/demo.yaml
///   flyball simulate examples/demo.yaml --compare hpa,my-policy.wasm
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct SimulateArgs {
    /// The scenario, in YAML
    pub scenario: PathBuf,
    /// Run it once under each of these policies (names or files) and compare
    #[arg(long, value_name = "POLICY,…", value_delimiter = ',')]
    pub compare: Vec<String>,
    #[command(flatten)]
    pub policies: PoliciesDir,
    /// Where to write the report [default: SCENARIO-report.html in the current
    /// directory]
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the record of every decision to FILE, a line of JSON each
    #[arg(long, value_name = "FILE", conflicts_with = "compare")]
    pub records: Option<PathBuf>,
    /// Seed for all that happens by chance [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub output: FormatArgs,
}

/// See it work: a day's load in twenty seconds, and a change of policy half way
///
/// Runs the daemon on an embedded cluster, with the built-in policy hpa. Half way
/// another policy is copied into the policies directory, and takes over without
/// a restart. At the end there is a report in HTML.
///
/// Examples:
///   flyball demo
///   flyball demo --report day.html
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct DemoArgs {
    /// Where to write the report
    #[arg(long, value_name = "FILE", default_value = "flyball-demo.html")]
    pub report: PathBuf,
    /// Policies directory to use (it must have no hpa.wasm) [default: a
    /// temporary one]
    #[arg(long, value_name = "DIR")]
    pub policies_dir: Option<PathBuf>,
    /// The policy that takes over [default: the embedded one]
    #[arg(long, value_name = "FILE")]
    pub swap: Option<PathBuf>,
    /// Let the day pass in a few seconds
    #[arg(long)]
    pub fast: bool,
}
