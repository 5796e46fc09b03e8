//! Texts of a spec that become segments of request paths.

/// Why a text is not one segment of a path. The rules are those of the API server
/// (`IsValidPathSegmentName` of k8s.io/apimachinery/pkg/api/validation/path).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentFault {
    /// There is no text.
    #[error("must not be empty")]
    Empty,
    /// A text that means another directory.
    #[error("may not be '{0}'")]
    Directory(&'static str),
    /// A character that ends or encodes a segment.
    #[error("may not contain '{0}'")]
    Contains(char),
}

/// Pattern of the texts without a [`SegmentFault`], for the schema of the custom resource.
/// Its regular expressions have no look-ahead.
pub const SEGMENT_PATTERN: &str = r"^(\.{0,2}[^./%][^/%]*|\.{3,}[^/%]*)$";

impl SegmentFault {
    /// Returns why a text is not one segment. `None` if it is.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        match text {
            "" => return Some(Self::Empty),
            "." => return Some(Self::Directory(".")),
            ".." => return Some(Self::Directory("..")),
            _ => {}
        }
        text.chars()
            .find(|c| matches!(c, '/' | '%'))
            .map(Self::Contains)
    }
}
