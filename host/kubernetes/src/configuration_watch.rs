//! Watch of a ConfigMap that configures an expander.

use flyball_nodes::cluster_configuration::ClusterConfiguration;
use flyball_nodes::ports::ExpanderConfiguration;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use tokio::sync::watch;

use crate::watch::Watches;

/// The latest configuration of an expander.
pub(crate) struct ConfigurationWatch {
    /// The expander's name.
    pub(crate) expander: &'static str,
    /// `None` if the ConfigMap has not been read yet.
    latest: watch::Receiver<Option<ExpanderConfiguration>>,
}

impl ConfigurationWatch {
    /// Watches the ConfigMap of a configuration, and no other.
    pub(crate) fn start(configuration: ClusterConfiguration, watches: &mut Watches) -> Self {
        let (sender, latest) = watch::channel(None);
        let expander = configuration.expander();
        let client = watches.client().clone();
        watches.spawn(async move { follow(configuration, client, sender).await });
        Self { expander, latest }
    }

    /// Returns the latest configuration. `None` if it has not been read yet.
    pub(crate) fn latest(&self) -> Option<ExpanderConfiguration> {
        self.latest.borrow().clone()
    }

    /// Whether the ConfigMap has been read.
    pub(crate) fn is_synced(&self) -> bool {
        self.latest.borrow().is_some()
    }

    /// Waits until the ConfigMap has been read.
    pub(crate) async fn synced(&self) {
        let _ = self.latest.clone().wait_for(Option::is_some).await;
    }
}

async fn follow(
    configuration: ClusterConfiguration,
    client: kube::Client,
    latest: watch::Sender<Option<ExpanderConfiguration>>,
) {
    let (namespace, name) = (configuration.namespace(), configuration.config_map());
    let api = Api::<ConfigMap>::namespaced(client, namespace);
    let mut stream = std::pin::pin!(watch_object(api, name).default_backoff());
    while let Some(found) = stream.next().await {
        match found {
            Ok(found) => {
                let data = found.as_ref();
                let data = data.map(|found| found.data.clone().unwrap_or_default());
                let uid = found
                    .as_ref()
                    .and_then(|found| found.metadata.uid.as_deref());
                let read = configuration.read(uid, data.as_ref());
                latest.send_replace(Some(read));
            }
            Err(error) => {
                tracing::warn!(name, namespace, %error, "the watch of a ConfigMap broke and is started again");
            }
        }
    }
}
