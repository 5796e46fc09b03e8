//! Standard output that controls no terminal, whatever is written to it.

use std::io::{self, StdoutLock, Write};

use anstream::AutoStream;
use flyball_decision::text;

/// Begins a sequence that controls a terminal.
const ESCAPE: &str = "\u{1b}";

/// The sequences that our own styles consist of.
const STYLES: [&str; 7] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
    "\u{1b}[36m",
];

/// Standard output, without styles if it is not a terminal. Control characters are escaped,
/// except for ends of lines and our own styles.
pub struct Out(AutoStream<StdoutLock<'static>>);

impl Out {
    /// Locks standard output.
    pub fn lock() -> Self {
        Self(AutoStream::auto(io::stdout().lock()))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Texts are formatted in whole pieces, none of which ends within a character or a
        // style.
        let text = String::from_utf8_lossy(bytes);
        self.0.write_all(escaped(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn escaped(written: &str) -> String {
    let mut read = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find(ESCAPE) {
        let (before, sequence) = rest.split_at(at);
        read += &text::lines(before);
        let own = STYLES.into_iter().find(|own| sequence.starts_with(*own));
        match own {
            Some(own) => read += own,
            None => read += &text::lines(ESCAPE),
        }
        rest = &sequence[own.map_or(ESCAPE.len(), str::len)..];
    }
    read + &text::lines(rest)
}

#[cfg(test)]
mod tests {
    use super::super::{BAD, DIM, GOOD, POLICY, STRONG, WARNING, styled};
    use super::escaped;

    #[test]
    fn nothing_but_our_own_styles_reaches_a_terminal() {
        for style in [STRONG, DIM, GOOD, WARNING, BAD, POLICY] {
            let own = styled(style, "a\u{1b}[2J\nb");
            assert_eq!(own, format!("{style}a\\u{{1b}}[2J b{style:#}"));
            assert_eq!(escaped(&own), own);
        }
        let text = "a \u{1b}]0;title\u{7}\r\u{1b}[8m\u{9b}2J\nb\u{1b}";
        let plain = "a \\u{1b}]0;title\\u{7} \\u{1b}[8m\\u{9b}2J\nb\\u{1b}";
        assert_eq!(escaped(text), plain);
    }
}
