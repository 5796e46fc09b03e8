//! How AWS is reached: region, endpoint, credentials, time limits.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_autoscaling::config::Region;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use flyball_core::nodes::cloud::CloudError;

/// Time for a call with all its attempts: a loop must not wait longer for a cloud.
const CALL: Duration = Duration::from_secs(15);
/// Time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(7);
/// Time to connect.
const CONNECT: Duration = Duration::from_secs(3);

/// Where AWS is, and who asks. What is not set comes from where the SDK looks for
/// it: environment, profile, web identity (IRSA), container, instance metadata.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Region.
    pub region: Option<String>,
    /// Endpoint in place of the region's own.
    pub endpoint: Option<String>,
    /// Credentials.
    pub credentials: Option<SharedCredentialsProvider>,
}

/// A client, and the region that it speaks to.
pub(super) struct Connected {
    pub client: aws_sdk_autoscaling::Client,
    pub region: String,
}

impl Connection {
    /// Finds what is not set. Asks no service of AWS but the machine's own
    /// metadata.
    pub(super) async fn connect(&self) -> Result<Connected, CloudError> {
        let https = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(CALL)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(https)
            .timeout_config(timeouts);
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        let config = loader.load().await;
        let region = config.region().ok_or_else(|| CloudError {
            class: "Other",
            message: "no AWS region is known: set AWS_REGION or --aws-region".to_owned(),
        })?;
        Ok(Connected {
            region: region.to_string(),
            client: aws_sdk_autoscaling::Client::new(&config),
        })
    }
}
