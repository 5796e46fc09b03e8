//! Names of the pods that a question was about.

use flyball_decision::key::ObjectKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Namespaces and names of many pods, in one piece of memory: a reference count for each
/// name of 100,000 pods takes as long as the policies' answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodNames {
    /// Namespace and name of each pod, one after the other.
    text: String,
    /// Where the namespace and the name of each pod end.
    ends: Vec<[usize; 2]>,
}

/// Namespace and name of a pod. In a record they look like an [`ObjectKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PodName<'a> {
    /// Namespace.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
}

impl std::fmt::Display for PodName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl PodNames {
    /// Returns the number of pods.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there is no pod.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the name of the pod in a row. `None` if there are fewer rows.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<PodName<'_>> {
        let &[middle, end] = self.ends.get(row)?;
        let start = match row.checked_sub(1) {
            Some(before) => self.ends.get(before)?[1],
            None => 0,
        };
        Some(PodName {
            namespace: self.text.get(start..middle)?,
            name: self.text.get(middle..end)?,
        })
    }

    /// Returns the names in the order of the rows.
    pub fn iter(&self) -> impl Iterator<Item = PodName<'_>> {
        (0..self.len()).filter_map(|row| self.get(row))
    }
}

impl<'a> Extend<&'a ObjectKey> for PodNames {
    fn extend<I: IntoIterator<Item = &'a ObjectKey>>(&mut self, keys: I) {
        let keys = keys.into_iter();
        self.ends.reserve(keys.size_hint().0);
        for key in keys {
            self.text.push_str(&key.namespace);
            let middle = self.text.len();
            self.text.push_str(&key.name);
            self.ends.push([middle, self.text.len()]);
        }
    }
}

impl Serialize for PodNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for PodNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let keys = Vec::<ObjectKey>::deserialize(deserializer)?;
        let mut names = Self::default();
        names.extend(&keys);
        Ok(names)
    }
}
