//! Sanitizes texts of guests, which end up in logs, events and terminals.

/// Truncates a text to this many bytes, at a character boundary, and marks the cut.
/// Control characters become spaces: they could forge lines of a log, or control a
/// terminal.
pub(crate) fn readable(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, " ");
    }
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn texts_are_cut_between_characters_and_cannot_steer_a_terminal() {
        for (text, bytes, read) in [
            ("as it is", 8, "as it is"),
            ("as it is", 5, "as it…"),
            ("größer", 3, "gr…"),
            ("a\n\u{1b}[2Jb\u{9b}c", 20, "a  [2Jb c"),
        ] {
            let mut text = text.to_owned();
            readable(&mut text, bytes);
            assert_eq!(text, read);
        }
    }
}
