//! The connection to the API server.

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// How to find the cluster.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// A kubeconfig file. If `None`, `KUBECONFIG` is used, else `~/.kube/config`, else
    /// the service account of the pod that this process runs in.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig other than its current one.
    pub context: Option<String>,
}

/// Why connecting to a cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig can't be used.
    #[error("the kubeconfig {name} can't be used: {source}")]
    Kubeconfig {
        /// The file or the context.
        name: String,
        /// What is wrong with it.
        source: kube::config::KubeconfigError,
    },
    /// There is neither a kubeconfig nor a service account.
    #[error("no cluster is configured: name a kubeconfig, or run in a pod ({0})")]
    Unconfigured(#[source] kube::config::InferConfigError),
    /// The API server can't be reached, or gives no valid answer.
    #[error("the API server {url} does not answer: {source}")]
    ApiServer {
        /// Its address.
        url: String,
        /// What went wrong.
        source: kube::Error,
    },
}

/// Connects to a cluster and requests the API server's version, so that a wrong address
/// is reported here.
///
/// # Errors
/// If no cluster is configured or its API server does not answer.
pub async fn connect(options: &ConnectOptions) -> Result<Client, ConnectError> {
    connect_to(configuration(options).await?).await
}

/// Connects as [`connect`] does. The client sends each request once: by default, it
/// repeats requests that are answered with 429, 503 or 504 until they time out.
///
/// # Errors
/// As [`connect`].
pub async fn connect_without_retries(options: &ConnectOptions) -> Result<Client, ConnectError> {
    let mut config = configuration(options).await?;
    config.default_retry = false;
    connect_to(config).await
}

async fn connect_to(config: Config) -> Result<Client, ConnectError> {
    let url = config.cluster_url.to_string();
    let unreachable = |source| ConnectError::ApiServer { url, source };
    let client = Client::try_from(config);
    match client {
        Ok(client) => {
            client.apiserver_version().await.map_err(unreachable)?;
            Ok(client)
        }
        Err(source) => Err(unreachable(source)),
    }
}

async fn configuration(options: &ConnectOptions) -> Result<Config, ConnectError> {
    let from_file = KubeConfigOptions {
        context: options.context.clone(),
        ..Default::default()
    };
    match (&options.kubeconfig, &options.context) {
        (None, None) => Config::infer().await.map_err(ConnectError::Unconfigured),
        (Some(path), _) => {
            let invalid = |source| ConnectError::Kubeconfig {
                name: path.display().to_string(),
                source,
            };
            let file = Kubeconfig::read_from(path).map_err(invalid)?;
            Config::from_custom_kubeconfig(file, &from_file)
                .await
                .map_err(invalid)
        }
        (None, Some(context)) => {
            let invalid = |source| ConnectError::Kubeconfig {
                name: context.clone(),
                source,
            };
            Config::from_kubeconfig(&from_file).await.map_err(invalid)
        }
    }
}
