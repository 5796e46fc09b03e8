//! Setup of the log on standard error.

use std::fmt;
use std::io::IsTerminal as _;

use flyball_decision::text;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, Writer};

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
    // Kube's client logs the whole of an answer that it can't read.
    // It also logs each request that fails, which our own messages name.
    let others = "warn,kube_runtime::watcher=error,kube_client::client=error,\
        kube_client::client::builder=off";
    let usual = format!("{others},{}", directives.collect::<Vec<_>>().join(","));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(args.verbose > 0)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    match args.log_format {
        LogFormat::Text => builder
            .fmt_fields(format::debug_fn(write_field).delimited(" "))
            .init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// Writes a field of an event, in one line of bounded size without control characters: users
/// of the cluster choose names and messages. (JSON escapes them itself.)
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = text::message(format!("{value:?}"));
    match field.name() {
        "message" => write!(writer, "{value}"),
        name => write!(writer, "{name}={value}"),
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
