//! Output for people: styles, tables, and formatted values. Colour and animation are used
//! only on a terminal, and not with NO_COLOR.
//!
//! Anybody may have written the names and messages in a dump, a record or a policy.
//! [`Out`] escapes what could control the terminal, whoever wrote it. [`plain`], [`styled`]
//! and the cells of a [`Table`] keep a text in one line besides.

mod out;
mod table;

pub use out::Out;
pub use table::{Cell, Table};

use std::error::Error;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use flyball_build::BuildError;
use flyball_decision::text;
use flyball_decision::time::Timestamp;
use flyball_report::document::{Printer, Tone};
use serde::Serialize;
use serde_json::Value;

/// Emphasis.
pub const STRONG: Style = Style::new().bold();
/// Less important text.
pub const DIM: Style = Style::new().dimmed();
/// Success, and growth.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Warnings, and shrinking.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// Failures.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Names of policies.
pub const POLICY: Style = AnsiColor::Cyan.on_default();

/// Locks standard output.
pub fn out() -> Out {
    Out::lock()
}

/// Reports whether standard output is a terminal and NO_COLOR is not set.
pub fn is_interactive() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Width of output that is not a terminal, and minimum width of one, in columns.
const USUAL_WIDTH: usize = 80;

/// Returns the width of the terminal in columns, at least 80. Returns 80 if standard
/// output is not a terminal.
pub fn width() -> usize {
    let size = std::io::stdout()
        .is_terminal()
        .then(terminal_size::terminal_size);
    let width = size.flatten().map(|(width, _)| usize::from(width.0));
    width.unwrap_or_default().max(USUAL_WIDTH)
}

/// Returns the maximum width of tables in columns, at least 80: that of the terminal, else
/// the variable COLUMNS. Returns `None` if there is neither, so that a program reads whole
/// names.
pub fn limit() -> Option<usize> {
    if std::io::stdout().is_terminal() {
        return Some(width());
    }
    let columns = std::env::var("COLUMNS").ok()?;
    Some(columns.parse().ok().unwrap_or(USUAL_WIDTH).max(USUAL_WIDTH))
}

/// Returns how documents are printed.
pub fn printer() -> Printer<'static> {
    Printer {
        paint: &paint,
        width: limit(),
    }
}

/// Returns a text in one line, with control characters escaped.
pub fn plain(text: impl Display) -> String {
    text::line(text.to_string())
}

/// Applies the style of a document's tone.
pub fn paint(tone: Tone, text: &str) -> String {
    match tone {
        Tone::Plain => plain(text),
        Tone::Subject => styled(POLICY, text),
        Tone::Dim => styled(DIM, text),
        Tone::Good => styled(GOOD, text),
        Tone::Warning => styled(WARNING, text),
        Tone::Bad | Tone::Failing => styled(BAD, text),
    }
}

/// Applies a style to a text, as [`plain`] returns it.
pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{}{style:#}", plain(text))
}

/// Prints data as indented JSON.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    writeln!(out(), "{}", json(value)?).context("cannot write to standard output")
}

/// Returns data as indented JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(text::json(&serde_json::to_string_pretty(value)?))
}

/// Returns data as a line of JSON.
pub fn json_line(value: &Value) -> String {
    text::json(&value.to_string())
}

/// Prints an error and its causes as one sentence of bounded size: a file may have any text
/// that the error quotes.
pub fn print_error(error: &anyhow::Error) {
    let is_of_cargo = |cause: &(dyn Error + 'static)| {
        matches!(cause.downcast_ref(), Some(BuildError::Cargo { .. }))
    };
    let text = if error.chain().any(is_of_cargo) {
        // What cargo says about the author's own source has many lines. They are indented: none
        // of them can pass for a message of ours.
        text::lines(&format!("{error:#}")).replace('\n', "\n  ")
    } else {
        text::with_causes(&**error)
    };
    print_as_error(&text);
}

/// Prints what clap says, without styles, about a command line that is wrong. It may quote any
/// argument, such as the name of a file: each line is of bounded size, and all but the first are
/// indented, so that none of them can pass for a message of ours.
pub fn print_usage_error(error: &clap::Error) {
    let said = error.render().ansi().to_string();
    let said = said.trim_end();
    let said = said.strip_prefix("error: ").unwrap_or(said);
    let lines: Vec<String> = said.lines().map(text::message).collect();
    print_as_error(&lines.join("\n  "));
}

fn print_as_error(text: &str) {
    let mut err = anstream::stderr().lock();
    // There is nowhere to report a failure of standard error.
    let _ = writeln!(err, "{BAD}error:{BAD:#} {text}");
}

/// Reports whether the reader of our output has gone, as `head` does.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut errors = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    errors.any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Formats the time of day in UTC: `14:03`.
pub fn time_of_day(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| format!("{} ms", at.0),
        |time| time.strftime("%H:%M").to_string(),
    )
}

/// Formats an elapsed time: `12 µs`, `3.4 ms`, `1.2 s`.
pub fn elapsed(time: std::time::Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.1} s"),
    }
}

/// Formats an amount of memory: `64MiB`, `1.5KiB`, `12B`.
pub fn bytes(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >> shift > 0 {
            let tenths = (u128::from(bytes) * 10) >> shift;
            return match tenths % 10 {
                0 => format!("{}{unit}", tenths / 10),
                tenth => format!("{}.{tenth}{unit}", tenths / 10),
            };
        }
    }
    format!("{bytes}B")
}

/// Formats a count with grouped digits: `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, time_of_day};
    use flyball_decision::time::Timestamp;

    #[test]
    fn values_are_put_in_words() {
        assert_eq!([12, 1536, 64 << 20].map(bytes), ["12B", "1.5KiB", "64MiB"]);
        assert_eq!(
            [7, 1_000, 1_234_567].map(count),
            ["7", "1,000", "1,234,567"]
        );
        assert_eq!(time_of_day(Timestamp(1_796_000_000_000)), "00:53");
    }
}
