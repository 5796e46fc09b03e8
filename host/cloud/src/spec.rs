//! Flags that name node groups, for any cloud.

use std::str::FromStr;

/// A node group with its bounds, `MIN:MAX:NAME`: a value of `--nodes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeGroupSpec {
    /// Smallest size that may be ordered.
    pub min_size: u32,
    /// Largest size that may be ordered.
    pub max_size: u32,
    /// Name of the group in the cloud.
    pub name: String,
}

/// Why a flag that names node groups is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The value does not have three parts.
    #[error("{0:?} names no node group: write MIN:MAX:NAME, such as 1:10:workers")]
    Form(String),
    /// A size is not a valid number.
    #[error("{spec:?}: {size:?} is not a number of nodes from 0 to {}", i32::MAX)]
    Size {
        /// The flag's value.
        spec: String,
        /// The invalid part.
        size: String,
    },
    /// The largest size is below the smallest.
    #[error("{0:?}: the largest size is below the smallest")]
    Order(String),
    /// The name is missing.
    #[error("{0:?} lacks the name of the node group")]
    NoName(String),
    /// An unknown way to discover node groups.
    #[error("{0:?} finds no node groups: write asg:tag=KEY or asg:tag=KEY=VALUE,…")]
    Discovery(String),
    /// The same tag with two values.
    #[error("no node group can have the tag {key:?} with both {first:?} and {second:?}")]
    TagTwice {
        /// The tag.
        key: String,
        /// One value.
        first: String,
        /// The other.
        second: String,
    },
}

impl FromStr for NodeGroupSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut parts = text.splitn(3, ':');
        let (Some(min), Some(max), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SpecError::Form(text.to_owned()));
        };
        let (min_size, max_size) = (size(text, min)?, size(text, max)?);
        if max_size < min_size {
            return Err(SpecError::Order(text.to_owned()));
        }
        if name.trim().is_empty() {
            return Err(SpecError::NoName(text.to_owned()));
        }
        Ok(Self {
            min_size,
            max_size,
            name: name.to_owned(),
        })
    }
}

/// Parses a size: a signed number of 32 bits that is not negative, as in cloud APIs.
fn size(spec: &str, text: &str) -> Result<u32, SpecError> {
    let size: Option<i32> = text.parse().ok();
    size.and_then(|size| u32::try_from(size).ok())
        .ok_or_else(|| SpecError::Size {
            spec: spec.to_owned(),
            size: text.to_owned(),
        })
}
