//! Texts that people read: conditions, events, log lines, errors, reasons. All of them are
//! shortened here, and characters that could forge a line of a log or control a terminal
//! are escaped here.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{Display, Write as _};

/// Maximum size of a message: a condition, a log line, an error, a reason, a sentence.
pub const MESSAGE_BYTES: usize = 2 << 10;

/// Maximum size of an event's note, which Kubernetes prescribes, and of the reason why a
/// policy's file was refused.
pub const NOTE_BYTES: usize = 1 << 10;

/// Marks the place where a text was shortened.
pub const CUT: &str = "…";

/// Room in a list for how many more names there are.
const MORE_BYTES: usize = 32;

/// Returns a text as a message of one line, of at most [`MESSAGE_BYTES`].
#[must_use]
pub fn message(text: impl Into<String>) -> String {
    within(text, MESSAGE_BYTES)
}

/// Like [`message`], but copies the text only if it has to be changed.
#[must_use]
pub fn message_of(text: &str) -> Cow<'_, str> {
    if is_readable(text, MESSAGE_BYTES) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(message(text))
    }
}

/// Returns an error and its causes as a message. An error that repeats its cause in its own
/// text is not followed by it.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let of_inner = inner.to_string();
        if !text.contains(&of_inner) {
            text = format!("{text}: {of_inner}");
        }
        cause = inner.source();
    }
    message(text)
}

/// Returns a text as a note of one line, of at most [`NOTE_BYTES`].
#[must_use]
pub fn note(text: impl Into<String>) -> String {
    within(text, NOTE_BYTES)
}

/// Returns a text in one line, of at most this many bytes.
#[must_use]
pub fn within(text: impl Into<String>, bytes: usize) -> String {
    let mut text = text.into();
    readable(&mut text, bytes);
    text
}

/// Returns a text in one line, however long it is.
#[must_use]
pub fn line(text: impl Into<String>) -> String {
    within(text, usize::MAX)
}

/// Shortens a text to this many bytes, between characters, and marks the cut. White space
/// becomes spaces, and other control characters become escapes such as `\u{1b}`.
pub fn readable(text: &mut String, bytes: usize) {
    if is_readable(text, bytes) {
        return;
    }
    let mut read = String::with_capacity(text.len().min(bytes));
    // Where the mark of a cut still fits.
    let mut end = 0;
    for c in text.chars() {
        if read.len() + CUT.len() <= bytes {
            end = read.len();
        }
        push(&mut read, c);
        if read.len() > bytes {
            read.truncate(end);
            read.push_str(CUT);
            break;
        }
    }
    *text = read;
}

fn is_readable(text: &str, bytes: usize) -> bool {
    // Bytes are faster to look at than characters, and most texts are ASCII.
    let is_plain = |byte| matches!(byte, b' '..=b'~');
    text.len() <= bytes && (text.bytes().all(is_plain) || !text.contains(steers))
}

/// Escapes control characters in a text of several lines.
#[must_use]
pub fn lines(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => read.push(c),
            _ => push(&mut read, c),
        }
    }
    read
}

/// Escapes, in JSON, those of these characters that JSON may contain as they are. The data
/// stays the same.
#[must_use]
pub fn json(json: &str) -> String {
    let mut read = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // All of these have four digits at most.
            c if steers(c) && c != '\n' => {
                // Writing to a String can't fail.
                let _ = write!(read, "\\u{:04x}", u32::from(c));
            }
            c => read.push(c),
        }
    }
    read
}

/// Formats a count with a noun: `1 pod`, `2 pods`.
#[must_use]
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let s = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// Lists names in at most this many bytes. Says how many of the `total` names there are
/// besides those that are listed. `names` may have fewer than all.
#[must_use]
pub fn list<T: AsRef<str>>(
    names: impl IntoIterator<Item = T>,
    total: usize,
    separator: &str,
    bytes: usize,
) -> String {
    let room = bytes.saturating_sub(MORE_BYTES);
    let mut text = String::new();
    let mut listed = 0;
    for name in names {
        let name = within(name.as_ref(), room);
        if listed > 0 && text.len() + separator.len() + name.len() > room {
            break;
        }
        if listed > 0 {
            text.push_str(separator);
        }
        text.push_str(&name);
        listed += 1;
    }
    if total > listed {
        // Writing to a String can't fail.
        let _ = write!(text, " and {} more", total - listed);
    }
    text
}

fn push(text: &mut String, c: char) {
    match c {
        '\n' | '\r' | '\t' => text.push(' '),
        c if steers(c) => text.extend(c.escape_unicode()),
        c => text.push(c),
    }
}

/// Reports whether a character can end a line, control a terminal or turn the direction of
/// the text after it.
fn steers(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::{
        CUT, counted, json, line, lines, list, message, message_of, note, readable, steers,
        with_causes,
    };

    #[test]
    fn texts_are_cut_between_characters_and_cannot_steer_a_terminal() {
        for (text, bytes, read) in [
            ("as it is", 8, "as it is"),
            ("as it is", 7, "as i…"),
            ("größer", 6, "gr…"),
            ("a\nb\u{1b}[2Jc\u{9b}d", 40, "a b\\u{1b}[2Jc\\u{9b}d"),
            ("a\u{202e}b\u{2028}c", 40, "a\\u{202e}b\\u{2028}c"),
            ("\u{1b}\u{1b}\u{1b}", 10, "\\u{1b}…"),
        ] {
            let mut text = text.to_owned();
            readable(&mut text, bytes);
            assert_eq!(text, read);
        }
    }

    #[test]
    fn a_text_of_any_length_and_json_cannot_steer_a_terminal_either() {
        let text = "a\n\u{1b}[2J".to_owned() + &"b".repeat(10_000);
        assert_eq!(
            line(&*text),
            text.replace('\n', " ").replace('\u{1b}', "\\u{1b}")
        );
        assert_eq!(lines(&text), text.replace('\u{1b}', "\\u{1b}"));
        assert_eq!(
            json("[\n\"ä\u{7f}\u{9b}2J\u{202e}\"\n]"),
            r#"[N"ä\u007f\u009b2J\u202e"N]"#.replace('N', "\n")
        );
    }

    #[test]
    fn one_of_a_thing_is_not_called_many() {
        let texts = [0_u32, 1, 2].map(|count| counted(count, "pod"));
        assert_eq!(texts, ["0 pods", "1 pod", "2 pods"]);
    }

    #[test]
    fn a_list_says_how_many_more_there_are() {
        let names = |count: usize| (0..count).map(|n| format!("web-{n:03}"));
        assert_eq!(list(names(3), 3, " ", 100), "web-000 web-001 web-002");
        let long = list(names(400), 400, ", ", 64);
        assert_eq!(long, "web-000, web-001, web-002 and 397 more");
        assert!(list([&"x".repeat(500)], 1, " ", 64).ends_with(CUT));
        assert_eq!(list::<&str>([], 0, " ", 64), "");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Caused {
        text: &'static str,
        source: io::Error,
    }

    #[test]
    fn an_error_is_followed_by_causes_that_it_does_not_repeat() {
        for text in ["the file can't be read", "the file can't be read: no disk"] {
            let source = io::Error::other("no disk");
            let read = with_causes(&Caused { text, source });
            assert_eq!(read, "the file can't be read: no disk");
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_line_of_bounded_size(
            text in "(?s).{0,3000}", names in prop::collection::vec("(?s).{0,300}", 0..300),
        ) {
            for (read, most) in [
                (message(&*text), super::MESSAGE_BYTES),
                (with_causes(&io::Error::other(&*text)), super::MESSAGE_BYTES),
                (note(&*text), super::NOTE_BYTES),
                (list(&names, names.len(), ", ", super::NOTE_BYTES), super::NOTE_BYTES),
            ] {
                prop_assert!(read.len() <= most, "{} bytes", read.len());
                prop_assert!(!read.contains(steers), "{read:?}");
            }
            prop_assert_eq!(message_of(&text), message(&*text));
            // A text that is fine is left as it is, also the second time.
            prop_assert_eq!(message(message(&*text)), message(&*text));
        }
    }
}
