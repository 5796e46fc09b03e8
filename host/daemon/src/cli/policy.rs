//! `flyball policy …`: arguments.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::FormatArgs;
use super::budgets::{Budgets, Compilation};
use super::completion;
use super::directories::{PoliciesDir, StateDir};
use super::values::server;

/// Write, build, test and look at policies
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    New(NewArgs),
    Build(BuildArgs),
    Test(TestArgs),
    Inspect(InspectArgs),
    Validate(ValidateArgs),
    Run(RunPolicyArgs),
    List(ListArgs),
    Rollback(RollbackArgs),
    Bench(BenchArgs),
}

/// Start a policy of your own, in Rust
///
/// Creates a folder with a policy that works, a test case, and the SDK, so that
/// building needs nothing but Rust, the target wasm32-unknown-unknown and
/// crates.io.
///
/// Examples:
///   flyball policy new my-policy && cd my-policy
///   flyball policy new --kind expander my-prices
///   flyball policy new --kind scale-down my-nodes
///   flyball policy test
///   flyball policy build
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct NewArgs {
    /// Name of the policy, and of the folder
    pub name: String,
    /// What the policy decides
    #[arg(long, value_enum, default_value = "replica")]
    pub kind: NewKind,
    /// Use the SDK in this folder [default: a copy of the one in this binary]
    #[arg(long, value_name = "DIR")]
    pub sdk: Option<PathBuf>,
}

/// Kinds of policy that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NewKind {
    /// How many replicas a workload should have
    Replica,
    /// Which node group should grow
    Expander,
    /// Which nodes may leave, and which pods keep theirs
    ScaleDown,
}

/// Compile a policy to WebAssembly
///
/// Compiling runs the build scripts and macros of the policy and of its dependencies
/// on this machine, outside of the sandbox: build only what you would run.
///
/// Examples:
///   flyball policy build
///   flyball policy build my-policy
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct BuildArgs {
    /// The policy's folder
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    #[command(flatten)]
    pub compilation: Compilation,
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Run a policy's test cases in the real sandbox
///
/// A case is a JSON file: {"context": …, "input": …, "expect": …}. Exits with 3
/// where an answer is not the expected one. A folder is built first, as by
/// `policy build`.
///
/// Examples:
///   flyball policy test
///   flyball policy test my-policy.wasm --cases cases
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct TestArgs {
    /// The policy's folder (it is built first), or a built policy
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    pub policy: PathBuf,
    /// Folder of the cases [default: cases in the policy's folder]
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,
    #[command(flatten)]
    pub budgets: Budgets,
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Show what a policy says of itself
///
/// Examples:
///   flyball policy inspect hpa
///   flyball policy inspect my-policy.wasm -o json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct InspectArgs {
    /// A file, or a built-in policy's name
    #[arg(value_name = "POLICY", add = completion::policies())]
    pub policy: String,
    #[command(flatten)]
    pub compilation: Compilation,
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Check that a host would take a policy, and a configuration for it
///
/// Makes all checks that the daemon makes before it uses a new file, including a
/// trial decision, with the daemon's default budget unless --policy-budget gives
/// another. Exits with 3 if the daemon would refuse the file.
///
/// Examples:
///   flyball policy validate my-policy.wasm
///   flyball policy validate my-policy.wasm --config '{"target": 0.7}'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ValidateArgs {
    /// A file, or a built-in policy's name
    #[arg(value_name = "POLICY", add = completion::policies())]
    pub policy: String,
    /// A configuration: JSON or YAML, or a file with either
    #[arg(long, value_name = "CONFIG|FILE")]
    pub config: Option<String>,
    #[command(flatten)]
    pub budgets: Budgets,
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Ask a policy for decisions on inputs from a file
///
/// An input is {"context": …, "input": …}, as in test cases, or the record of a
/// decision, which stands for the input of its first policy. Prints a line of JSON
/// for each input: the answer, and what it cost. Exits with 3 if the policy fails.
///
/// Examples:
///   flyball policy run hpa --input input.json
///   flyball policy run my-policy.wasm --input records.jsonl
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct RunPolicyArgs {
    /// A file, or a built-in policy's name
    #[arg(value_name = "POLICY", add = completion::policies())]
    pub policy: String,
    /// JSON, or JSON lines; - is standard input
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    #[command(flatten)]
    pub budgets: Budgets,
}

/// List all policies and their states
///
/// Examples:
///   flyball policy list
///   flyball policy list --server http://127.0.0.1:8085
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ListArgs {
    /// Ask this daemon [default: look into the policies directory]
    #[arg(long, value_name = "URL", value_parser = server)]
    pub server: Option<String>,
    #[command(flatten)]
    pub policies: PoliciesDir,
    #[command(flatten)]
    pub compilation: Compilation,
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Bring back the version of a policy before the one that decides
///
/// The policy's file is refused until it changes. The command writes to the
/// daemon's private directory, so run it as the daemon's user, on its machine (in its
/// container). A running daemon follows at once, and a daemon that starts later reads
/// it. Fails if no version before is kept.
///
/// Examples:
///   flyball policy rollback my-policy
///   kubectl -n flyball-system exec deploy/flyball -- flyball policy rollback my-policy
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct RollbackArgs {
    /// Name of the policy
    #[arg(add = completion::policy_names())]
    pub name: String,
    /// Directory of policies of the daemon [default: the one that has the policy]
    #[arg(
        long,
        value_name = "DIR",
        env = "FLYBALL_POLICIES_DIR",
        hide_env_values = true
    )]
    pub policies_dir: Option<PathBuf>,
    #[command(flatten)]
    pub state: StateDir,
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Measure what a policy's decisions cost
///
/// Without --input, it is asked about targets of 1, 10, 100 and 1000 pods. Exits
/// with 3 if the policy fails.
///
/// Examples:
///   flyball policy bench hpa
///   flyball policy bench my-policy.wasm --input inputs.jsonl
///   flyball policy bench my-policy.wasm --config 'target: 0.7'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct BenchArgs {
    /// A file, or a built-in policy's name
    #[arg(value_name = "POLICY", add = completion::policies())]
    pub policy: String,
    /// JSON, or JSON lines, as for `policy run`
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// A configuration in place of those of the inputs: JSON or YAML, or a file with
    /// either
    #[arg(long, value_name = "CONFIG|FILE")]
    pub config: Option<String>,
    #[command(flatten)]
    pub budgets: Budgets,
    #[command(flatten)]
    pub output: FormatArgs,
}
