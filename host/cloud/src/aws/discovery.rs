//! Discovery of Auto Scaling groups by their tags: `asg:tag=KEY[=VALUE],…`.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::spec::SpecError;

/// Tags that an Auto Scaling group must have to be a node group: a value of
/// `--node-group-auto-discovery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoDiscovery {
    /// Key and value of each tag. An empty value matches any value.
    pub tags: BTreeMap<String, String>,
}

impl FromStr for AutoDiscovery {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let list = text
            .strip_prefix("asg:tag=")
            .filter(|list| !list.is_empty())
            .ok_or_else(|| SpecError::Discovery(text.to_owned()))?;
        let mut tags = BTreeMap::new();
        for tag in list.split(',') {
            let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
            insert(&mut tags, key, value)?;
        }
        Ok(Self { tags })
    }
}

/// Merges the tags of all values of the flag: a group must have every tag of each.
///
/// # Errors
/// If two of them require different values of one tag.
pub fn all_tags(discovery: &[AutoDiscovery]) -> Result<BTreeMap<String, String>, SpecError> {
    let mut tags = BTreeMap::new();
    for (key, value) in discovery.iter().flat_map(|one| &one.tags) {
        insert(&mut tags, key, value)?;
    }
    Ok(tags)
}

/// Returns name and value of the filter of DescribeAutoScalingGroups for a tag.
#[must_use]
pub fn filter(key: &str, value: &str) -> (String, String) {
    if value.is_empty() {
        ("tag-key".to_owned(), key.to_owned())
    } else {
        (format!("tag:{key}"), value.to_owned())
    }
}

/// Adds a tag. A tag with a value replaces the same tag with any value.
fn insert(tags: &mut BTreeMap<String, String>, key: &str, value: &str) -> Result<(), SpecError> {
    match tags.get(key) {
        Some(known) if !known.is_empty() && !value.is_empty() && known != value => {
            Err(SpecError::TagTwice {
                key: key.to_owned(),
                first: known.clone(),
                second: value.to_owned(),
            })
        }
        Some(known) if !known.is_empty() => Ok(()),
        _ => {
            tags.insert(key.to_owned(), value.to_owned());
            Ok(())
        }
    }
}
