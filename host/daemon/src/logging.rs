//! Setup of the log on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::cli::{LogArgs, LogFormat};

/// Sets the log up. `usual` is the level of our own crates without `-v`; other crates are
/// logged from `warn` on.
pub fn init(args: &LogArgs, usual: &str) {
    let level = match args.verbose {
        0 => usual,
        1 => "debug",
        _ => "trace",
    };
    let directives = OWN.iter().map(|own| format!("{own}={level}"));
    // Our own watches report each error that kube's watcher does.
    let others = "warn,kube_runtime::watcher=error";
    let usual = format!("{others},{}", directives.collect::<Vec<_>>().join(","));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(args.verbose > 0)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    match args.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// Tracing targets of our own crates.
const OWN: [&str; 8] = [
    "flyball",
    "flyball_decision",
    "flyball_nodes",
    "flyball_replicas",
    "flyball_kubernetes",
    "flyball_sandbox",
    "flyball_simulation",
    "flyball_sources",
];
