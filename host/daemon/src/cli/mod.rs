//! Definition of the command line: arguments, defaults and help. The commands themselves
//! are in [`crate::commands`].

mod budgets;
mod completion;
mod directories;
mod node_arguments;
mod plan;
mod planning;
mod policy;
mod records;
mod run;
mod scale_down;
mod simulate;
mod values;
mod without_effect;

pub use budgets::{Budgets, Compilation};
use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, Parser, Subcommand, ValueEnum};
pub use directories::STATE_DIR;
pub use node_arguments::{CloudProvider, Controller, Nodes, NodesMode};
pub use plan::PlanArgs;
pub use planning::{Planning, PolicyConfig};
pub use policy::{
    BenchArgs, BuildArgs, InspectArgs, ListArgs, NewArgs, NewKind, PolicyCommand, RollbackArgs,
    RunPolicyArgs, TestArgs, ValidateArgs,
};
pub use records::{ReplayArgs, WhyArgs};
pub use run::{Cluster, Leader, OnPolicyFailure, Policies, RunArgs};
pub use scale_down::Unneeded;
pub use simulate::{Compared, ComparedPolicy, DemoArgs, SimulateArgs};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Exit codes:
  0  success
  1  failure: the message on standard error names the culprit
  2  the command line is wrong
  3  differences were found (replay, policy test); a policy or its configuration
     is not valid (policy validate), gave no usable answer (policy run, policy
     bench), or was not swapped in (simulate); some lines are no records (replay,
     why)
  102  a loop or a thread of the daemon stood still (run)

Start here:
  flyball demo                       a day in twenty seconds, no cluster needed
  flyball policy new my-policy       a policy of your own
  flyball run --policies-dir DIR     the daemon, on the cluster of your kubeconfig";

/// An autoscaler for Kubernetes whose decisions are made by sandboxed WebAssembly
/// policies, swapped while it runs
#[derive(Debug, Parser)]
#[command(name = "flyball", version, styles = STYLES, after_help = AFTER_HELP)]
#[command(
    infer_long_args = false,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// What is logged, and how. Logs go to standard error.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Log more: -v debug, -vv trace. RUST_LOG overrides it
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Form of the log
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    #[arg(value_name = "text|json")]
    pub log_format: LogFormat,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// Form of what a command prints on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// `-o json`, for commands whose output is data.
#[derive(Debug, Clone, Copy, Args)]
pub struct FormatArgs {
    /// Form of the output
    #[arg(
        short = 'o',
        long = "output",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    #[arg(value_name = "text|json")]
    pub format: Format,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(Box<RunArgs>),
    Simulate(SimulateArgs),
    Plan(PlanArgs),
    Replay(ReplayArgs),
    Why(WhyArgs),
    #[command(subcommand)]
    Policy(PolicyCommand),
    Demo(DemoArgs),
    /// Print the CustomResourceDefinition of ReplicaAutoscaler as YAML
    ///
    /// Examples:
    ///   flyball crd | kubectl apply -f -
    #[command(verbatim_doc_comment)]
    Crd,
    /// Print a script for a shell that completes commands and names
    ///
    /// The script calls flyball, so a new version of flyball needs no new script. It
    /// completes names of policies from the policies directory, and names of
    /// ReplicaAutoscalers and nodes from the daemon.
    ///
    /// Examples:
    ///   source <(flyball completions bash)
    ///   source <(flyball completions zsh)
    ///   flyball completions fish | source
    #[command(verbatim_doc_comment)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
