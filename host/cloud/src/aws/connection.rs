//! The connection to AWS: region, endpoint, credentials, time limits.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_autoscaling::config::Region;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use flyball_nodes::cloud::CloudError;

/// Time limit of a call with all its attempts. The nodes loop must not wait longer for
/// a cloud.
const CALL: Duration = Duration::from_secs(15);
/// Time limit of one attempt.
const ATTEMPT: Duration = Duration::from_secs(7);
/// Time limit of connecting.
const CONNECT: Duration = Duration::from_secs(3);

/// Region, endpoint and credentials. Unset fields are taken from the SDK's sources:
/// environment, profile, web identity (IRSA), container, instance metadata.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Region.
    pub region: Option<String>,
    /// Endpoint to use instead of the region's.
    pub endpoint: Option<String>,
    /// Credentials.
    pub credentials: Option<SharedCredentialsProvider>,
}

/// A client and its region.
pub(super) struct Connected {
    pub client: aws_sdk_autoscaling::Client,
    pub region: String,
}

impl Connection {
    /// Creates a client and fills in unset fields. Calls no AWS service except the
    /// instance metadata service.
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
