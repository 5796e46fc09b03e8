//! The kinds of a cluster, found through the API server's discovery.
//!
//! A backend behind the API server answers for the kinds of its group. So the group and the
//! version of a kind are those that were asked for, and a name of an answer comes into a path
//! only if it is one segment.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use kube::core::{ApiResource, GroupVersionKind, Version};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::request::{ANSWER, RequestError, get, segment};

/// A kind that the API server serves.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its group, version, kind and plural.
    pub resource: ApiResource,
    /// Whether it has a scale subresource.
    pub has_scale: bool,
}

/// Why a kind was not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// The apiVersion is not one.
    #[error("{0:?} is not GROUP/VERSION")]
    InvalidVersion(String),
    /// The API server serves no such kind.
    #[error("no matches for kind {kind:?} in group {group:?}")]
    Unknown {
        /// The kind.
        kind: String,
        /// Its API group.
        group: String,
    },
    /// The API server did not answer.
    #[error("{0}")]
    Unavailable(String),
}

/// Maximum number of kinds in a cache. Specs may name a kind by versions that do not exist,
/// which are kinds of their own here.
const MAX_KNOWN: usize = 1024;

/// Maximum number of other versions of a group in which a kind is looked for.
const MAX_VERSIONS: usize = 16;

/// Maximum bytes of the name of a group, a version or a resource: those of a DNS subdomain.
const MAX_NAME: usize = 253;

/// A cache of the kinds of a cluster. A kind is requested once; a kind that was not
/// found is requested again each time. Clones share the cache.
#[derive(Clone)]
pub struct Kinds {
    client: Client,
    /// By apiVersion and kind.
    known: Arc<Mutex<HashMap<(String, String), Kind>>>,
}

impl Kinds {
    /// Creates an empty cache for the cluster that the client is connected to.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            known: Arc::default(),
        }
    }

    /// Returns a kind.
    ///
    /// # Errors
    /// If the API server does not serve it or does not answer.
    pub async fn get(&self, api_version: &str, kind: &str) -> Result<Kind, KindError> {
        self.get_if(api_version, kind, |_| true).await
    }

    /// Like [`Kinds::get`], but requests a kind again if it had no scale subresource,
    /// since it may have one by now.
    pub(crate) async fn get_scalable(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Kind, KindError> {
        self.get_if(api_version, kind, |known| known.has_scale)
            .await
    }

    async fn get_if(
        &self,
        api_version: &str,
        kind: &str,
        is_usable: impl Fn(&Kind) -> bool,
    ) -> Result<Kind, KindError> {
        let key = (api_version.to_owned(), kind.to_owned());
        let known = self.known().get(&key).cloned();
        if let Some(known) = known.filter(is_usable) {
            return Ok(known);
        }
        let found = self.discover(api_version, kind).await?;
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, found.clone());
        Ok(found)
    }

    /// Removes a kind from the cache, as it may be gone or served in another version.
    pub(crate) fn forget(&self, api_version: &str, kind: &str) {
        self.known()
            .remove(&(api_version.to_owned(), kind.to_owned()));
    }

    async fn discover(&self, api_version: &str, kind: &str) -> Result<Kind, KindError> {
        let asked = group_version_kind(api_version, kind)?;
        if let Some(found) = self.find(&asked).await? {
            return Ok(found);
        }
        // As for a HorizontalPodAutoscaler, any version of the group is accepted.
        let mut error = KindError::Unknown {
            kind: asked.kind.clone(),
            group: asked.group.clone(),
        };
        for version in self.other_versions(&asked).await? {
            let other = GroupVersionKind {
                version,
                ..asked.clone()
            };
            match self.find(&other).await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                // The next version may have the kind.
                Err(unavailable) => error = unavailable,
            }
        }
        Err(error)
    }

    /// Returns a kind. `None` if its version does not have it.
    async fn find(&self, gvk: &GroupVersionKind) -> Result<Option<Kind>, KindError> {
        let path = format!("{}/{}", group_path(&gvk.group), gvk.version);
        let list: Option<ResourceList> = self.get_if_served(&path).await?;
        let resources = list.and_then(|list| list.resources).unwrap_or_default();
        // The names of subresources are not one segment.
        let resource = resources
            .iter()
            .find(|resource| resource.kind == gvk.kind && is_name(&resource.name));
        Ok(resource.map(|resource| {
            let scale = format!("{}/scale", resource.name);
            Kind {
                resource: ApiResource::from_gvk_with_plural(gvk, &resource.name),
                has_scale: resources.iter().any(|other| other.name == scale),
            }
        }))
    }

    /// Returns the other versions of the group, the most stable first. If the group is not
    /// served, there are none.
    async fn other_versions(&self, asked: &GroupVersionKind) -> Result<Vec<String>, KindError> {
        let path = group_path(&asked.group);
        let mut versions: Vec<String> = if asked.group.is_empty() {
            let core: Option<VersionList<String>> = self.get_if_served(&path).await?;
            core.map(|core| core.versions).unwrap_or_default()
        } else {
            let group: Option<VersionList<ListedVersion>> = self.get_if_served(&path).await?;
            let versions = group.map(|group| group.versions).unwrap_or_default();
            versions.into_iter().map(|one| one.version).collect()
        };
        versions.retain(|version| is_name(version) && *version != asked.version);
        versions.sort_by_cached_key(|version| Reverse(Version::parse(version).priority()));
        versions.truncate(MAX_VERSIONS);
        Ok(versions)
    }

    /// GETs a path of the discovery. `None` if it is not served.
    async fn get_if_served<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, KindError> {
        match get(&self.client, path, "", ANSWER).await {
            Ok(answer) => Ok(Some(answer)),
            Err(RequestError::NotFound(_)) => Ok(None),
            Err(error) => Err(KindError::Unavailable(error.message().to_owned())),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), Kind>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The needed fields of an `APIResourceList`.
#[derive(Deserialize)]
struct ResourceList {
    /// Backends write null where there are none.
    resources: Option<Vec<ListedResource>>,
}

/// A resource, or a subresource. Both fields must be there, as the API requires: an answer of
/// empty objects would take many times its size in memory.
#[derive(Deserialize)]
struct ListedResource {
    name: String,
    kind: String,
}

/// The needed field of an `APIGroup`, and of the `APIVersions` of the core group, which has
/// the versions as texts.
#[derive(Deserialize)]
struct VersionList<V> {
    versions: Vec<V>,
}

#[derive(Deserialize)]
struct ListedVersion {
    version: String,
}

fn group_path(group: &str) -> String {
    match group {
        "" => "/api".to_owned(),
        _ => format!("/apis/{group}"),
    }
}

/// Reports whether a text becomes one segment of a path as it is.
fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME && segment(text).is_ok_and(|path| path == text)
}

fn group_version_kind(api_version: &str, kind: &str) -> Result<GroupVersionKind, KindError> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let is_name_or_empty = |text: &str| text.is_empty() || is_name(text);
    if !is_name_or_empty(group) || !is_name_or_empty(version) {
        return Err(KindError::InvalidVersion(api_version.to_owned()));
    }
    let version = if version.is_empty() { "v1" } else { version };
    Ok(GroupVersionKind::gvk(group, version, kind))
}

#[cfg(test)]
mod tests;
