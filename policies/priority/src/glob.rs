//! Patterns that are texts with `.*` between them, which most are: they are matched
//! without the regular expression engine, at a tenth of its price. Names of node groups
//! have no line breaks, so that `.*` stands for anything.

/// Texts in the order in which a name has them.
#[derive(Debug)]
pub(crate) struct Glob {
    texts: Vec<Vec<u8>>,
    /// Whether the first text begins the name.
    from_start: bool,
    /// Whether the last text ends the name.
    to_end: bool,
}

impl Glob {
    /// Parses a regular expression. `None` if it is more than literal text and `.*`.
    pub(crate) fn parse(pattern: &str) -> Option<Self> {
        let (from_start, rest) = match pattern.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let (to_end, rest) = match rest.strip_suffix('$') {
            Some(rest) if !rest.ends_with('\\') => (true, rest),
            _ => (false, rest),
        };
        let texts = rest.split(".*").map(text).collect::<Option<_>>()?;
        Some(Self {
            texts,
            from_start,
            to_end,
        })
    }

    /// Whether a name has the texts.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut rest = name.as_bytes();
        let last = self.texts.len() - 1;
        for (position, text) in self.texts.iter().enumerate() {
            let ends = position == last && self.to_end;
            let fits = if position == 0 && self.from_start {
                rest.starts_with(text) && (!ends || rest.len() == text.len())
            } else if ends {
                rest.ends_with(text)
            } else {
                true
            };
            let at = match (position == 0 && self.from_start, ends) {
                (true, _) => Some(0),
                (_, true) => Some(rest.len().saturating_sub(text.len())),
                _ => find(rest, text),
            };
            let Some(at) = at.filter(|_| fits) else {
                return false;
            };
            rest = &rest[at + text.len()..];
        }
        true
    }
}

/// A text of which every character stands for itself.
fn text(pattern: &str) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(pattern.len());
    let mut bytes = pattern.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => text.push(bytes.next().filter(|byte| b"./-+".contains(byte))?),
            b'.' | b'+' | b'*' | b'?' | b'(' | b')' | b'|' | b'[' | b']' | b'{' | b'}' | b'^'
            | b'$' => return None,
            _ => text.push(byte),
        }
    }
    Some(text)
}

fn find(name: &[u8], text: &[u8]) -> Option<usize> {
    let last = name.len().checked_sub(text.len())?;
    (0..=last).find(|&at| name[at..].starts_with(text))
}

#[cfg(test)]
mod tests {
    use regex_lite::Regex;

    use super::Glob;

    #[test]
    fn what_is_read_matches_as_the_regular_expression_does() {
        let names = [
            "",
            "spot",
            "eks-spot-a",
            "eks-a",
            "-a-a",
            "a.b",
            "axb",
            "eks--a",
            "aa",
            "a",
        ];
        let patterns = [
            "",
            "^",
            "$",
            "^$",
            ".*",
            "spot",
            "^spot",
            "spot$",
            "^spot$",
            "^eks-.*-a$",
            "eks.*a",
            ".*a",
            "a.*",
            "^a.*a$",
            "^.*-a$",
            r"a\.b",
            "a.*a",
            "^.*$",
            "-a.*-a$",
            "^eks-.*",
            "ä",
        ];
        for pattern in patterns {
            let (Some(glob), Ok(regex)) = (Glob::parse(pattern), Regex::new(pattern)) else {
                panic!("{pattern} is not read");
            };
            for name in names {
                assert_eq!(glob.matches(name), regex.is_match(name), "{pattern} {name}");
            }
        }
        for more in [
            "a.b", "a|b", "[ab]", "(a)", "a+", r"\bspot", r"a\$", "(?i)a", "a{2}", "^^a", ".*?",
        ] {
            assert!(Glob::parse(more).is_none(), "{more}");
        }
    }
}
