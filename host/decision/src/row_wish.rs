//! Wanted inputs with a text for each row: labels and annotations by key.

use std::fmt;
use std::sync::Arc;

use crate::context::GrantedInput;
use crate::policy::WantedInput;

/// Maximum size of all texts by row of one question, in bytes. If there are more, the host
/// asks about fewer rows at once, or refuses the input where it cannot.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Name of the argument that has the key.
const KEY: &str = "key";

/// What a text by row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowText {
    /// A label of each pod.
    PodLabel,
    /// An annotation of each pod.
    PodAnnotation,
    /// A label of the namespace of each pod.
    NamespaceLabel,
    /// A label of each node, or of each option's template node.
    NodeLabel,
    /// An annotation of each node, or of each option's template node.
    NodeAnnotation,
}

impl RowText {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::PodLabel,
        Self::PodAnnotation,
        Self::NamespaceLabel,
        Self::NodeLabel,
        Self::NodeAnnotation,
    ];

    /// Returns the kind of the wanted input.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::PodLabel => "pod-label",
            Self::PodAnnotation => "pod-annotation",
            Self::NamespaceLabel => "namespace-label",
            Self::NodeLabel => "node-label",
            Self::NodeAnnotation => "node-annotation",
        }
    }
}

/// A wanted input with a text for each row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowWish {
    /// What the text is of.
    pub of: RowText,
    /// Key of the label or annotation.
    pub key: Arc<str>,
}

impl RowWish {
    /// Reads a wanted input.
    ///
    /// # Errors
    /// A sentence that says why the input is refused: another kind, or no key.
    pub fn of(wanted: &WantedInput) -> Result<Self, String> {
        let kind = &*wanted.kind;
        let mut texts = RowText::ALL.into_iter();
        let of = texts.find(|of| of.kind() == kind);
        let of =
            of.ok_or_else(|| format!("a decision about nodes has no input of kind {kind:?}"))?;
        let mut arguments = wanted.arguments.iter();
        let key = arguments.find(|(name, _)| name == KEY);
        let (_, key) = key.ok_or_else(|| format!("an input of kind {kind:?} needs a {KEY}"))?;
        Ok(Self {
            of,
            key: key.as_str().into(),
        })
    }

    /// Grants a wanted input. `texts` returns the text of each row, or `None` if the
    /// question has no such rows.
    pub fn grant<T: Iterator<Item = Option<Arc<str>>>>(
        wanted: &WantedInput,
        texts: impl FnOnce(&Self) -> Option<T>,
    ) -> GrantedInput {
        let wish = match Self::of(wanted) {
            Ok(wish) => wish,
            Err(error) => return GrantedInput::refused(error),
        };
        let granted = texts(&wish).map(GrantedInput::by_row).unwrap_or_default();
        if granted.text_bytes() > MAX_TEXT_BYTES {
            return GrantedInput::refused(format!(
                "the texts of {wish} have more than {MAX_TEXT_BYTES} bytes"
            ));
        }
        granted
    }
}

impl fmt::Display for RowWish {
    /// `pod-label app`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.of.kind(), self.key)
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::{RowText, RowWish};
    use crate::context::GrantedInput;
    use crate::policy::WantedInput;

    fn wanted(kind: &str, key: Option<&str>) -> WantedInput {
        let arguments = key.map(|key| ("key".to_owned(), key.to_owned()));
        WantedInput {
            kind: kind.to_owned(),
            arguments: arguments.into_iter().collect(),
        }
    }

    fn grant(kind: &str, key: Option<&str>, texts: &[Option<&str>]) -> GrantedInput {
        RowWish::grant(&wanted(kind, key), |_| {
            Some(texts.iter().map(|text| text.map(Into::into)))
        })
    }

    #[test]
    fn a_text_stands_once_and_missing_and_long_ones_have_marks() {
        let (most, more) = ("x".repeat(1024), "x".repeat(1025));
        let texts = [Some("a"), None, Some(&*most), Some("a"), Some(&*more)];
        let granted = grant("pod-label", Some("team"), &texts);
        assert_eq!(granted.error, "");
        assert_eq!(granted.texts, ["a", &most]);
        assert_eq!(granted.rows, [0, -1, 1, 0, -2]);
    }

    #[test]
    fn what_is_not_granted_says_why() {
        for (kind, key, error) in [
            ("pod-age", Some("a"), "no input of kind \"pod-age\""),
            ("pod-label", None, "\"pod-label\" needs a key"),
        ] {
            let granted = grant(kind, key, &[Some("a")]);
            assert!(granted.error.contains(error), "{}", granted.error);
            assert!(granted.rows.is_empty());
        }
        let texts: Vec<String> = (0..1100).map(|row| format!("{row:01024}")).collect();
        let texts: Vec<_> = texts.iter().map(|text| Some(text.as_str())).collect();
        let granted = grant("node-label", Some("a"), &texts);
        assert!(granted.error.contains("more than 1048576 bytes"));
        // A question without such rows.
        let none = |_: &RowWish| None::<iter::Empty<_>>;
        let granted = RowWish::grant(&wanted("pod-label", Some("a")), none);
        assert_eq!(granted, GrantedInput::default());
        for of in RowText::ALL {
            assert_eq!(
                RowWish::of(&wanted(of.kind(), Some("a"))).map(|wish| wish.of),
                Ok(of)
            );
        }
    }
}
