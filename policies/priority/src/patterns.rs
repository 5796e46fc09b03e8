//! The operator's regular expressions, compiled within limits.

use std::collections::BTreeMap;

use regex_lite::{Regex, RegexBuilder};

use crate::glob::Glob;

/// Longest pattern, in bytes.
const PATTERN_BYTES: usize = 1024;
/// Largest compiled pattern, in bytes: `x{1,1000}` fits, a repetition of such does not.
const COMPILED_BYTES: usize = 256 << 10;

/// Lists of regular expressions, the highest priority first.
pub(crate) struct Patterns(Vec<(i64, Vec<Pattern>)>);

enum Pattern {
    Glob(Glob),
    Regex(Regex),
}

impl Pattern {
    fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(name),
            Self::Regex(regex) => regex.is_match(name),
        }
    }
}

impl Patterns {
    /// Compiles all of them.
    ///
    /// # Errors
    /// The first pattern that is none, as a sentence.
    pub(crate) fn compile(priorities: &BTreeMap<i64, Vec<String>>) -> Result<Self, String> {
        let lists = priorities.iter().rev().map(|(&priority, patterns)| {
            let compiled = patterns.iter().map(|pattern| compile(priority, pattern));
            Ok((priority, compiled.collect::<Result<_, String>>()?))
        });
        lists.collect::<Result<_, String>>().map(Self)
    }

    /// The highest priority with a pattern that matches anywhere in the name.
    pub(crate) fn priority(&self, name: &str) -> Option<i64> {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_match(name));
        let list = self.0.iter().find(|(_, patterns)| matches(patterns));
        list.map(|&(priority, _)| priority)
    }
}

fn compile(priority: i64, pattern: &str) -> Result<Pattern, String> {
    if pattern.len() > PATTERN_BYTES {
        return Err(format!(
            "a pattern of priority {priority} has {} bytes, at most {PATTERN_BYTES} are allowed",
            pattern.len()
        ));
    }
    if let Some(glob) = Glob::parse(pattern) {
        return Ok(Pattern::Glob(glob));
    }
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES)
        .build()
        .map(Pattern::Regex)
        .map_err(|error| {
            format!("`{pattern}` of priority {priority} is no regular expression: {error}")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the guide says of Go's syntax.
    #[test]
    fn differences_from_go_are_those_that_the_guide_lists() {
        let compiles = |pattern: &str| compile(0, pattern).is_ok();
        for differs in [r"\p{Greek}", r"\pL", r"\Qa.b\E", r"\101", "a{", "[a&&b]"] {
            assert!(!compiles(differs), "{differs}");
        }
        for alike in [
            r"\bspot\b",
            "(?i)SPOT",
            "(?P<zone>a)",
            "[[:alpha:]]",
            r"a\z",
            "x{1,1000}",
        ] {
            assert!(compiles(alike), "{alike}");
        }
        let folded = compile(0, "(?i)Ä").map(|pattern| pattern.is_match("ä"));
        assert_eq!(folded, Ok(false));
        let longer_than_go = compile(0, "a{1,2000}").is_ok();
        assert!(longer_than_go);
    }
}
