//! Setup of the log on standard error.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use flyball_decision::text::{self, MESSAGE_BYTES};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::{LogArgs, LogFormat};

/// Room in a line of text for its time, level and target.
const HEAD_BYTES: usize = 128;

/// Size below which fields are not shortened further.
const MIN_FIELD_BYTES: usize = 16;

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
        LogFormat::Text => builder.fmt_fields(TextFields).init(),
        LogFormat::Json => {
            let with_target = args.verbose > 0;
            builder.event_format(JsonLines { with_target }).init();
        }
    }
}

/// Returns a line of at most this many bytes. It is made with fields of at most so many bytes
/// as it is called with: those that a message may have, or else half of them, and so on.
fn within_line(bytes: usize, line: impl Fn(usize) -> String) -> String {
    let mut of_field = MESSAGE_BYTES;
    loop {
        let line = line(of_field);
        if line.len() <= bytes || of_field <= MIN_FIELD_BYTES {
            return line;
        }
        of_field /= 2;
    }
}

/// Writes the fields of events as text, so that a line is within the limit on messages and
/// has no control characters: users of the cluster choose names and messages.
struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let line = within_line(MESSAGE_BYTES - HEAD_BYTES, |of_field| {
            let mut text = TextLine {
                line: String::new(),
                of_field,
            };
            fields.record(&mut text);
            text.line
        });
        writer.write_str(&line)
    }
}

/// The fields of an event, one after the other.
struct TextLine {
    line: String,
    /// Maximum size of a field.
    of_field: usize,
}

impl Visit for TextLine {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = text::within(format!("{value:?}"), self.of_field);
        if !self.line.is_empty() {
            self.line.push(' ');
        }
        // Writing to a String can't fail.
        let _ = match field.name() {
            "message" => write!(self.line, "{value}"),
            name => write!(self.line, "{name}={value}"),
        };
    }
}

/// Writes events as JSON, one in each line, which is within the limit on messages.
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
        let level = metadata.level();
        let head = format!("{{\"timestamp\":\"{time}\",\"level\":\"{level}\"");
        let line = within_line(MESSAGE_BYTES, |of_field| {
            let mut object = JsonLine {
                line: head.clone(),
                of_field,
            };
            event.record(&mut object);
            if self.with_target {
                object.write("target", metadata.target().into());
            }
            object.line + "}"
        });
        writeln!(writer, "{line}")
    }
}

/// An object that has some members, which those for the fields of an event are added to.
struct JsonLine {
    line: String,
    /// Maximum size of a field without its escapes.
    of_field: usize,
}

impl JsonLine {
    /// Adds a field. Names of fields need no escapes: they are fixed in source code.
    fn write(&mut self, name: &str, value: serde_json::Value) {
        // Writing to a String can't fail.
        let _ = write!(self.line, ",\"{name}\":{value}");
    }

    fn write_text(&mut self, field: &Field, text: impl Into<String>) {
        self.write(field.name(), text::within(text, self.of_field).into());
    }
}

impl Visit for JsonLine {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write_text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write_text(field, value);
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
    use std::env;
    use std::fs::{self, File};
    use std::process::Command;
    use std::sync::Arc;

    use anyhow::ensure;
    use flyball_decision::text::{CUT, MESSAGE_BYTES};
    use serde_json::Value;
    use tempfile::NamedTempFile;
    use tracing::Subscriber;

    use super::{JsonLines, TextFields, init};
    use crate::cli::{LogArgs, LogFormat};

    /// Environment variable of the child process of a test.
    const CHILD: &str = "FLYBALL_TEST_PANICS";

    /// Logs an event with this problem to a file, and returns the line.
    fn logged(
        log: impl Subscriber + Send + Sync + 'static,
        file: &NamedTempFile,
        problem: &str,
    ) -> anyhow::Result<String> {
        tracing::subscriber::with_default(log, || {
            let name = "\u{7f}\u{9b}2J\u{1b}[2J\"";
            tracing::warn!(name, %problem, others = 3, late = true, "one\nmessage");
        });
        let text = fs::read_to_string(file.path())?;
        let line = text.trim_end();
        ensure!(!line.contains(char::is_control), "{line}");
        ensure!(line.len() <= MESSAGE_BYTES, "{} bytes", line.len());
        Ok(line.to_owned())
    }

    #[test]
    fn a_line_in_json_has_a_limit_and_no_control_characters() -> anyhow::Result<()> {
        // What JSON escapes takes twice the room.
        for problem in ["x", "\"", "\u{1b}"] {
            let file = NamedTempFile::new()?;
            let log = tracing_subscriber::fmt()
                .with_writer(Arc::new(File::create(file.path())?))
                .event_format(JsonLines { with_target: true })
                .finish();
            let line = logged(log, &file, &problem.repeat(10_000))?;
            let line: Value = serde_json::from_str(&line)?;
            assert_eq!(line["level"], "WARN");
            assert_eq!(line["message"], "one message");
            assert_eq!(line["name"], r#"\u{7f}\u{9b}2J\u{1b}[2J""#);
            assert_eq!((&line["others"], &line["late"]), (&3.into(), &true.into()));
            let problem = line["problem"].as_str().unwrap_or_default();
            assert!(problem.len() > 500 && problem.ends_with(CUT), "{problem}");
            assert!(line["timestamp"].is_string() && line["target"].is_string());
        }
        Ok(())
    }

    #[test]
    fn a_panic_is_a_line_of_the_log() -> anyhow::Result<()> {
        if env::var_os(CHILD).is_some() {
            let args = LogArgs {
                verbose: 0,
                log_format: LogFormat::Json,
            };
            init(&args, "info");
            flyball_tasks::end_on_panic();
            let text = "\n\u{1b}[2J".repeat(1_000);
            let caught = flyball_tasks::catch_panic::<()>(|| panic!("on{text}"));
            panic!("not on input: {}", caught.is_err());
        }
        let mut child = Command::new(env::current_exe()?);
        child.args(["logging::tests::a_panic_is_a_line_of_the_log", "--exact"]);
        let output = child.env(CHILD, "1").env_remove("RUST_LOG").output()?;
        assert_eq!(output.status.code(), Some(101));
        let log = String::from_utf8(output.stderr)?;
        let lines: Result<Vec<Value>, _> = log.lines().map(serde_json::from_str).collect();
        let lines = lines?;
        let expected = [
            r"a panic on input from outside was caught: on \u{1b}[2J",
            "flyball ends after a panic: not on input: true",
        ];
        assert_eq!(lines.len(), expected.len(), "{log}");
        for (line, expected) in lines.iter().zip(expected) {
            let [message, place, thread] =
                ["message", "place", "thread"].map(|field| line[field].as_str());
            assert!(message.is_some_and(|message| message.starts_with(expected)));
            assert!(place.is_some_and(|place| place.contains("logging.rs:")));
            assert!(thread.is_some());
        }
        Ok(())
    }

    #[test]
    fn a_line_in_text_has_a_limit_and_no_control_characters() -> anyhow::Result<()> {
        let file = NamedTempFile::new()?;
        let log = tracing_subscriber::fmt()
            .with_writer(Arc::new(File::create(file.path())?))
            .with_ansi(false)
            .fmt_fields(TextFields)
            .finish();
        let line = logged(log, &file, &"\n\u{1b}".repeat(10_000))?;
        for expected in [
            " WARN flyball::logging::tests: ",
            "one message",
            r#"name="\u{7f}\u{9b}2J\u{1b}[2J\"""#,
            r"problem= \u{1b} \u{1b}",
            CUT,
            "others=3",
            "late=true",
        ] {
            assert!(line.contains(expected), "no {expected:?} in {line}");
        }
        Ok(())
    }
}
