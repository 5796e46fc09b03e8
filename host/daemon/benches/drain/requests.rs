//! Counts the requests that a proxy of the API server has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::parts::proxy::Seen;

/// Numbers of requests.
pub struct Requests {
    /// By method and kind of object.
    kinds: BTreeMap<String, usize>,
    /// Number of pods whose eviction was requested.
    pub evicted: usize,
    /// Number of writes that were the same as one before.
    pub repeated: usize,
}

impl Requests {
    pub fn count(seen: &[Seen]) -> Self {
        let mut kinds = BTreeMap::new();
        let mut evicted = BTreeSet::new();
        let mut writes = BTreeSet::new();
        let mut repeated = 0;
        for request in seen {
            let (method, kind) = kind(&request.line);
            *kinds.entry(format!("{method} {kind}")).or_default() += 1;
            if kind == "eviction" {
                evicted.insert(&request.line);
            }
            let is_write = method != "GET";
            repeated += usize::from(is_write && !writes.insert(content(request)));
        }
        Self {
            kinds,
            evicted: evicted.len(),
            repeated,
        }
    }

    pub fn total(&self) -> usize {
        self.kinds.values().sum()
    }
}

/// Returns the method, and the kind of object or its subresource.
fn kind(line: &str) -> (&str, &str) {
    let (method, uri) = line.split_once(' ').unwrap_or((line, ""));
    let path = uri.split('?').next().unwrap_or_default();
    let mut parts = path.trim_start_matches('/').split('/');
    // The group of the API, and its version.
    let group = if parts.next() == Some("apis") { 2 } else { 1 };
    let mut parts: Vec<&str> = parts.skip(group).collect();
    if parts.first() == Some(&"namespaces") && parts.len() > 2 {
        parts.drain(..2);
    }
    let kind = parts.get(2).or(parts.first());
    (method, kind.copied().unwrap_or(path))
}

/// Returns a request without what differs in each: the version that a patch is made for; of
/// an event its times, and the name that is made of one.
fn content(request: &Seen) -> (&str, String) {
    let is_event = request.line.contains("/events");
    // An event that happens again is patched.
    let line = if is_event {
        "event"
    } else {
        request.line.as_str()
    };
    let Ok(mut body) = serde_json::from_slice::<Value>(&request.body) else {
        return (line, String::from_utf8_lossy(&request.body).into_owned());
    };
    if let Some(metadata) = body["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        if is_event {
            metadata.remove("name");
        }
    }
    if let Some(fields) = body.as_object_mut() {
        fields.remove("eventTime");
        fields.remove("series");
    }
    (line, body.to_string())
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "requests:")?;
        for (kind, count) in &self.kinds {
            write!(f, " {count} {kind},")?;
        }
        write!(
            f,
            " {} pods evicted, {} writes repeated",
            self.evicted, self.repeated
        )
    }
}
