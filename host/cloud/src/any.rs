//! A cloud of any provider.

use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{CloudError, CloudProvider, Conventions, NodeGroup};

use crate::aws::{self, AwsAutoScaling};

/// The cloud of a cluster: one variant for each provider.
pub enum Cloud {
    /// Auto Scaling groups of AWS.
    Aws(Box<AwsAutoScaling>),
}

impl Cloud {
    /// Sends requests only while `leads` returns true. What is not sent fails with
    /// [`NOT_LEADER`](flyball_nodes::cloud::NOT_LEADER).
    #[must_use]
    pub fn while_leading(self, leads: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        match self {
            Self::Aws(cloud) => Self::Aws(Box::new(cloud.while_leading(leads))),
        }
    }
}

/// Returns how the cloud that made an instance labels its nodes, by the node's
/// `spec.providerID`. `None` for an unknown cloud.
#[must_use]
pub fn conventions_of(provider_id: &str) -> Option<Conventions> {
    let (scheme, _) = provider_id.split_once("://")?;
    match scheme {
        "aws" => Some(aws::CONVENTIONS),
        _ => None,
    }
}

impl CloudProvider for Cloud {
    fn conventions(&self) -> Conventions {
        match self {
            Self::Aws(cloud) => cloud.conventions(),
        }
    }

    async fn node_groups(&self, now: Timestamp) -> Result<Vec<Arc<NodeGroup>>, CloudError> {
        match self {
            Self::Aws(cloud) => cloud.node_groups(now).await,
        }
    }

    async fn increase_size(
        &self,
        now: Timestamp,
        group: &str,
        delta: u32,
    ) -> Result<(), CloudError> {
        match self {
            Self::Aws(cloud) => cloud.increase_size(now, group, delta).await,
        }
    }

    async fn delete_instances(
        &self,
        now: Timestamp,
        group: &str,
        provider_ids: &[Arc<str>],
    ) -> Vec<Result<(), CloudError>> {
        match self {
            Self::Aws(cloud) => cloud.delete_instances(now, group, provider_ids).await,
        }
    }

    async fn decrease_target_size(
        &self,
        now: Timestamp,
        group: &str,
        delta: u32,
    ) -> Result<(), CloudError> {
        match self {
            Self::Aws(cloud) => cloud.decrease_target_size(now, group, delta).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::conventions_of;

    #[test]
    fn a_node_of_aws_is_known_by_its_provider_id() {
        let aws = conventions_of("aws:///eu-west-1a/i-0123456789abcdef0");
        assert!(aws.is_some_and(|aws| aws.gpu_label.is_some()));
        assert_eq!(conventions_of("kind://docker/kind/node"), None);
        assert_eq!(conventions_of(""), None);
    }
}
