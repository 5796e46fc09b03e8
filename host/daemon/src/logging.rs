//! Setup of the log on standard error.

use std::fmt;
use std::io::IsTerminal as _;

use flyball_decision::text;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

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
        LogFormat::Json => {
            let with_target = args.verbose > 0;
            builder.event_format(JsonLines { with_target }).init();
        }
    }
}

/// Writes a field of an event, in one line of bounded size without control characters: users
/// of the cluster choose names and messages.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = text::message(format!("{value:?}"));
    match field.name() {
        "message" => write!(writer, "{value}"),
        name => write!(writer, "{name}={value}"),
    }
}

/// Writes events as JSON, one in each line, with fields within the limits on messages.
pub struct JsonLines {
    /// Whether the event's target is a field.
    pub with_target: bool,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        write!(
            writer,
            "{{\"timestamp\":\"{time}\",\"level\":\"{}\"",
            metadata.level()
        )?;
        let mut fields = JsonFields {
            writer: writer.by_ref(),
            result: Ok(()),
        };
        event.record(&mut fields);
        if self.with_target {
            fields.write("target", metadata.target().into());
        }
        fields.result?;
        writeln!(writer, "}}")
    }
}

/// Writes the fields of an event as members of an object that has some already.
struct JsonFields<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

impl JsonFields<'_> {
    /// Writes a field. Names of fields need no escapes: they are fixed in source code.
    fn write(&mut self, name: &str, value: serde_json::Value) {
        if self.result.is_ok() {
            self.result = write!(self.writer, ",\"{name}\":{value}");
        }
    }
}

impl Visit for JsonFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field.name(), text::message(format!("{value:?}")).into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field.name(), text::message(value).into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field.name(), value.into());
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use flyball_decision::text::MESSAGE_BYTES;
    use serde_json::Value;

    use super::JsonLines;

    #[test]
    fn json_lines_have_fields_of_bounded_size_without_control_characters()
    -> Result<(), Box<dyn std::error::Error>> {
        let file = tempfile::NamedTempFile::new()?;
        let log = tracing_subscriber::fmt()
            .with_writer(Arc::new(File::create(file.path())?))
            .event_format(JsonLines { with_target: true })
            .finish();
        tracing::subscriber::with_default(log, || {
            let name = "\u{7f}\u{9b}2J\u{1b}[2J\"";
            let problem = "x".repeat(10_000);
            tracing::warn!(name, %problem, others = 3, late = true, "one\nmessage");
        });
        let text = std::fs::read_to_string(file.path())?;
        assert!(!text.trim_end().contains(char::is_control), "{text}");
        let line: Value = serde_json::from_str(&text)?;
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "one message");
        assert_eq!(line["name"], r#"\u{7f}\u{9b}2J\u{1b}[2J""#);
        assert_eq!((&line["others"], &line["late"]), (&3.into(), &true.into()));
        assert_eq!(line["problem"].as_str().map(str::len), Some(MESSAGE_BYTES));
        assert!(line["timestamp"].is_string() && line["target"].is_string());
        Ok(())
    }
}
