//! `flyball simulate` and `flyball demo`: arguments.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::FormatArgs;
use super::budgets::Budgets;
use super::completion;
use super::directories::PoliciesDir;
use super::run::Gates;

/// Run a scenario in virtual time, as fast as it goes, and write a report
///
/// The embedded cluster is driven by the daemon's own loop and the daemon's own
/// policies: only the clock, the reader and the writer differ. The same scenario
/// and seed give the same result, to the byte. Exits with 3 if a policy that the
/// scenario swaps in was refused, or if no decision could read a metric.
///
/// Examples:
///   flyball simulate examples/demo.yaml
///   flyball simulate examples/demo.yaml --compare hpa,my-policy.wasm
///   flyball simulate examples/demo.yaml --compare 'my.wasm={"floor": 3},my.wasm=five.json'
///   flyball simulate examples/nodes.yaml --compare least-waste,price
///   flyball simulate examples/nodes/night.yaml --compare drain-rules+utilization,drain-rules+mine.wasm
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct SimulateArgs {
    /// The scenario, in YAML
    pub scenario: PathBuf,
    /// Run it once under each of these policies (names or files) and compare: of
    /// autoscalers, of node groups, or chains of scale-down policies, joined by `+`. A
    /// configuration of the last policy may follow each: =JSON, or =FILE.json
    #[arg(long, value_name = "POLICY[=CONFIG],…", add = completion::compared())]
    pub compare: Vec<Compared>,
    /// Expanders that choose among node groups, asked in this order until one is
    /// left [default: the scenario's]
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        conflicts_with = "compare",
        add = completion::policy_names()
    )]
    pub expander: Vec<String>,
    #[command(flatten)]
    pub policies: PoliciesDir,
    #[command(flatten)]
    pub budgets: Budgets,
    /// Where to write the report [default: SCENARIO-report.html in the current
    /// directory]
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the record of every decision to FILE, a line of JSON each, in place of
    /// what is in it
    #[arg(long, value_name = "FILE", conflicts_with = "compare")]
    pub records: Option<PathBuf>,
    #[command(flatten)]
    pub gates: Gates,
    /// Seed of all random numbers [default: the scenario's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub output: FormatArgs,
}

/// See it work: a day's load in twenty seconds, and two policies replaced half way
///
/// Runs the daemon on an embedded cluster: the built-in policy hpa scales a workload,
/// and for pods that find no room nodes are ordered, of the group that the expander
/// least-waste chooses. Half way another policy and another expander are copied into
/// the policies directory, and take over without a restart. At the end there is a
/// report in HTML.
///
/// Examples:
///   flyball demo
///   flyball demo --report day.html
///   flyball demo --swap my-policy.wasm --swap-expander my-expander.wasm
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct DemoArgs {
    /// Where to write the report
    #[arg(long, value_name = "FILE", default_value = "flyball-demo.html")]
    pub report: PathBuf,
    /// Policies directory to use (it must have no hpa.wasm and no least-waste.wasm)
    /// [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub policies_dir: Option<PathBuf>,
    /// The policy that takes over from hpa [default: the embedded example predictive]
    #[arg(long, value_name = "FILE")]
    pub swap: Option<PathBuf>,
    /// The expander that takes over from least-waste [default: the embedded example
    /// cheapest]
    #[arg(long, value_name = "FILE")]
    pub swap_expander: Option<PathBuf>,
    /// Let the day pass in a few seconds
    #[arg(long)]
    pub fast: bool,
}

/// Those who take part in a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared(pub Vec<ComparedPolicy>);

/// A policy that takes part in a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedPolicy {
    /// A name, or a file.
    pub policy: String,
    /// Its configuration as JSON, or the name of a file that has it.
    pub config: Option<String>,
}

impl FromStr for Compared {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = outside_json(text).into_iter().map(str::trim);
        parts
            .map(ComparedPolicy::from_str)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl FromStr for ComparedPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A path may contain `=`.
        let inline = text.find("={");
        let file = text.rfind('=').filter(|_| text.ends_with(".json"));
        let (policy, config) = match inline.or(file) {
            Some(sign) => (&text[..sign], Some(text[sign + 1..].to_owned())),
            None => (text, None),
        };
        if policy.is_empty() {
            return Err("a policy is missing: write POLICY or POLICY=CONFIG".to_owned());
        }
        Ok(Self {
            policy: policy.to_owned(),
            config,
        })
    }
}

/// Splits a text at commas that are not inside a JSON object.
fn outside_json(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quoted, mut escaped) = (0, 0u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if depth > 0 => quoted = !quoted,
            _ if quoted => {}
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::{Compared, ComparedPolicy};

    #[test]
    fn configurations_follow_the_policies_they_are_for() {
        let read = |text: &str| {
            let Compared(policies) = text.parse()?;
            let pair = |ComparedPolicy { policy, config }| (policy, config.unwrap_or_default());
            Ok::<Vec<_>, String>(policies.into_iter().map(pair).collect())
        };
        let pairs = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|&(a, b)| (a.to_owned(), b.to_owned()));
            Ok(owned.collect())
        };
        assert_eq!(read("hpa,my.wasm"), pairs(&[("hpa", ""), ("my.wasm", "")]));
        assert_eq!(
            read(
                r#"my.wasm={"a":[1,2],"b":"},\"","c":{"d":1}},./x=y/my.wasm=c.json, ./x=y/my.wasm"#
            ),
            pairs(&[
                ("my.wasm", r#"{"a":[1,2],"b":"},\"","c":{"d":1}}"#),
                ("./x=y/my.wasm", "c.json"),
                ("./x=y/my.wasm", ""),
            ])
        );
        assert!(read("hpa,").is_err() && read(r#"={"a":1}"#).is_err());
    }
}
