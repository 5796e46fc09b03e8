//! Auto Scaling groups found by their tags: `asg:tag=KEY[=VALUE],…`.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::spec::SpecError;

/// Tags that an Auto Scaling group must have to be a node group: a value of
/// `--node-group-auto-discovery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoDiscovery {
    /// Each tag's key and value; an empty value: any will do.
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

/// All that the values of the flag ask for together: a group must have every tag
/// of every one.
///
/// # Errors
/// When two of them want different values of one tag, which no group can have.
pub fn all_tags(discovery: &[AutoDiscovery]) -> Result<BTreeMap<String, String>, SpecError> {
    let mut tags = BTreeMap::new();
    for (key, value) in discovery.iter().flat_map(|one| &one.tags) {
        insert(&mut tags, key, value)?;
    }
    Ok(tags)
}

/// Name and value of the filter of DescribeAutoScalingGroups that a tag stands for.
#[must_use]
pub fn filter(key: &str, value: &str) -> (String, String) {
    if value.is_empty() {
        ("tag-key".to_owned(), key.to_owned())
    } else {
        (format!("tag:{key}"), value.to_owned())
    }
}

/// A tag with any value asks for less than the same tag with one.
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
