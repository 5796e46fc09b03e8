//! The connection to the API server.

use std::error::Error as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::time::timeout;

use crate::request;

/// Time limit of the first request. The client repeats it while the API server asks for that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// How to find the cluster.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// A kubeconfig file. If `None`, `KUBECONFIG` is used, else `~/.kube/config`, else
    /// the service account of the pod that this process runs in.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig other than its current one.
    pub context: Option<String>,
}

/// Why connecting to a cluster failed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig can't be used, or there is none and no service account either.
    #[error("{0}")]
    Configuration(String),
    /// The API server can't be reached.
    #[error("the API server {url} does not answer: {problem}; check the address and the network")]
    Unreachable {
        /// Its address.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// The API server refuses the first request.
    #[error("the API server {url} refuses to tell its version: {problem}; check the credentials")]
    Refused {
        /// Its address.
        url: String,
        /// Its message.
        problem: String,
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
    let failed = |error: kube::Error| {
        let problem = request::problem(&error);
        let url = url.clone();
        match error {
            kube::Error::Api(_) => ConnectError::Refused { url, problem },
            _ => ConnectError::Unreachable { url, problem },
        }
    };
    let client = match Client::try_from(config) {
        Ok(client) => client,
        Err(error) => return Err(failed(error)),
    };
    match timeout(CONNECT_TIMEOUT, client.apiserver_version()).await {
        Ok(Ok(_)) => Ok(client),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(ConnectError::Unreachable {
            url,
            problem: format!("it did not tell its version within {CONNECT_TIMEOUT:?}"),
        }),
    }
}

async fn configuration(options: &ConnectOptions) -> Result<Config, ConnectError> {
    let from_file = KubeConfigOptions {
        context: options.context.clone(),
        ..Default::default()
    };
    let config = match (&options.kubeconfig, &options.context) {
        (None, None) => return Config::infer().await.map_err(|error| unconfigured(&error)),
        (Some(path), _) => match Kubeconfig::read_from(path) {
            Ok(file) => Config::from_custom_kubeconfig(file, &from_file).await,
            Err(error) => Err(error),
        },
        (None, Some(_)) => Config::from_kubeconfig(&from_file).await,
    };
    config.map_err(|error| unusable(options.kubeconfig.as_deref(), &error))
}

/// Returns the error of a kubeconfig. `None` is the usual one.
fn unusable(kubeconfig: Option<&Path>, error: &KubeconfigError) -> ConnectError {
    let named = kubeconfig.map(|path| path.display().to_string());
    let named = named.or_else(|| std::env::var("KUBECONFIG").ok());
    let file = named.unwrap_or_else(|| "~/.kube/config".to_owned());
    ConnectError::Configuration(match error {
        KubeconfigError::ReadConfig(error, path) => format!(
            "cannot read the kubeconfig {}: {error}; name another one with --kubeconfig",
            path.display()
        ),
        KubeconfigError::LoadContext(context) => format!(
            "the kubeconfig {file} has no context {context}; `kubectl config get-contexts` lists \
             those that it has"
        ),
        KubeconfigError::CurrentContextNotSet => {
            format!("the kubeconfig {file} has no current context: name one with --context")
        }
        KubeconfigError::Parse(error) => {
            let problem = error.to_string();
            // An extract of the file follows.
            let problem = problem.lines().next().unwrap_or_default();
            let problem = problem.trim_start_matches("error: ");
            format!("{file} is not a kubeconfig: {problem}; name another one with --kubeconfig")
        }
        error => format!(
            "cannot use the kubeconfig {file}: {}",
            request::problem(error)
        ),
    })
}

/// Returns the error if no cluster was named.
fn unconfigured(error: &InferConfigError) -> ConnectError {
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let cause = error.source().and_then(|error| error.downcast_ref());
    match cause {
        Some(KubeconfigError::ReadConfig(error, path))
            if !in_pod && error.kind() == ErrorKind::NotFound =>
        {
            ConnectError::Configuration(format!(
                "no cluster is configured: there is no kubeconfig {}, and this process does not \
                 run in a pod; name a kubeconfig with --kubeconfig, or a scenario with --cluster \
                 sim:FILE",
                path.display()
            ))
        }
        Some(error) if !in_pod => unusable(None, error),
        _ => ConnectError::Configuration(format!("no cluster is configured: {error}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

    use std::net::TcpListener;

    use kube::Config;

    use super::connect_to;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_an_error() {
        // The kernel accepts the connection, and nobody reads from it.
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let Err(error) = connect_to(Config::new(url.parse().unwrap())).await else {
            panic!("connected");
        };
        let expected = format!(
            "the API server {url}/ does not answer: it did not tell its version within 60s; check \
             the address and the network"
        );
        assert_eq!(error.to_string(), expected);
    }
}
