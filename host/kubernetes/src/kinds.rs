//! The kinds of a cluster, found through the API server's discovery.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use kube::core::GroupVersionKind;
use kube::discovery::{self, ApiCapabilities, ApiResource};

use crate::request::{RequestError, answer, segment};

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
        let gvk = group_version_kind(api_version, kind)?;
        if let Ok(found) = answer(discovery::pinned_kind(&self.client, &gvk)).await {
            return Ok(found.into());
        }
        // As for a HorizontalPodAutoscaler, any version of the group is accepted.
        let found = match answer(discovery::group(&self.client, &gvk.group)).await {
            Ok(group) => group
                .resources_by_stability()
                .into_iter()
                .find(|(resource, _)| resource.kind == gvk.kind),
            Err(RequestError::Other(message)) if !message.contains("Missing Api Group") => {
                return Err(KindError::Unavailable(message));
            }
            Err(_) => None,
        };
        let unknown = || KindError::Unknown {
            kind: gvk.kind.clone(),
            group: gvk.group.clone(),
        };
        found.map(Kind::from).ok_or_else(unknown)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), Kind>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<(ApiResource, ApiCapabilities)> for Kind {
    fn from((resource, capabilities): (ApiResource, ApiCapabilities)) -> Self {
        let mut subresources = capabilities.subresources.iter();
        Self {
            resource,
            has_scale: subresources.any(|(resource, _)| resource.plural == "scale"),
        }
    }
}

fn group_version_kind(api_version: &str, kind: &str) -> Result<GroupVersionKind, KindError> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    // Both become segments of the paths of discovery, as they are.
    let is_name = |text: &str| text.is_empty() || segment(text).is_ok_and(|path| path == text);
    if !is_name(group) || !is_name(version) {
        return Err(KindError::InvalidVersion(api_version.to_owned()));
    }
    let version = if version.is_empty() { "v1" } else { version };
    Ok(GroupVersionKind::gvk(group, version, kind))
}
