//! AWS: Auto Scaling groups as node groups.
//!
//! Groups are named ([`NodeGroupSpec`]) or discovered by their tags
//! ([`AutoDiscovery`]). They are cached for a minute, and read again after an order.
//! The size of instance types, launch templates, and instances that AWS could not launch
//! are not looked up.

mod connection;
mod discovery;
mod error;
mod groups;
mod instance_types;
mod leading;
mod options;
mod provider_id;
mod purchase;
mod template;
mod termination;

use std::sync::Arc;

use aws_sdk_autoscaling::types::Filter;
use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{CloudError, CloudProvider, Conventions, InstanceState, NodeGroup};
use tokio::sync::Mutex;

pub use self::connection::Connection;
pub use self::discovery::{AutoDiscovery, all_tags, filter};
use self::error::{call_error, order_error};
use self::leading::WhileLeading;
pub use self::provider_id::{instance, provider_id};
use crate::prices::NodePrices;
use crate::spec::NodeGroupSpec;

/// How AWS and its tools label nodes.
pub const CONVENTIONS: Conventions = Conventions {
    ignored_labels: &[
        "alpha.eksctl.io/instance-id",
        "alpha.eksctl.io/nodegroup-name",
        "eks.amazonaws.com/nodegroup",
        "k8s.amazonaws.com/eniConfig",
        "lifecycle",
        "topology.ebs.csi.aws.com/zone",
        "topology.k8s.aws/zone-id",
    ],
    gpu_label: Some("k8s.amazonaws.com/accelerator"),
};

/// How long groups are cached, in milliseconds.
const CACHE_MS: i64 = 60_000;
/// Maximum number of names in a call and of groups in an answer: AWS' own limit.
const BATCH: usize = 100;

const DESCRIBE: &str = "DescribeAutoScalingGroups";
const SET: &str = "SetDesiredCapacity";

/// Provides Auto Scaling groups as node groups.
pub struct AwsAutoScaling {
    client: aws_sdk_autoscaling::Client,
    region: String,
    named: Vec<NodeGroupSpec>,
    /// Filters of the discovery. Empty if there is none.
    filters: Vec<Filter>,
    prices: NodePrices,
    cache: Mutex<GroupCache>,
}

#[derive(Default)]
struct GroupCache {
    groups: Vec<Arc<NodeGroup>>,
    /// When the groups were read. `None` if they must be read again.
    read_at: Option<Timestamp>,
    /// Named groups that do not exist in AWS.
    missing: Vec<String>,
}

impl AwsAutoScaling {
    /// Determines region and credentials, without calls to AWS. A group that is both
    /// named and discovered has the bounds of its name.
    ///
    /// # Errors
    /// If there is neither a named group nor a discovery, if two values of the
    /// discovery contradict each other, or if no region is known.
    pub async fn connect(
        connection: &Connection,
        named: Vec<NodeGroupSpec>,
        discovery: &[AutoDiscovery],
    ) -> Result<Self, CloudError> {
        let other = |message| CloudError {
            class: "Other",
            message,
        };
        if named.is_empty() && discovery.is_empty() {
            let problem = "no node group: name some with --nodes or --node-group-auto-discovery";
            return Err(other(problem.to_owned()));
        }
        let tags = all_tags(discovery).map_err(|error| other(error.to_string()))?;
        let filters = tags.iter().map(|(key, value)| {
            let (name, value) = filter(key, value);
            Filter::builder().name(name).values(value).build()
        });
        let filters = filters.collect();
        let connected = connection.connect().await?;
        Ok(Self {
            client: connected.client,
            region: connected.region,
            named,
            filters,
            prices: NodePrices::default(),
            cache: Mutex::default(),
        })
    }

    /// Sets the prices of nodes. A group whose nodes may have several instance types has
    /// none.
    #[must_use]
    pub fn with_prices(mut self, prices: NodePrices) -> Self {
        self.prices = prices;
        self
    }

    /// Sends requests only while `leads` returns true. It is asked right before each request
    /// and each retry, also of those that only read: an order that is under way when the lease
    /// is lost ends in time to be recorded.
    #[must_use]
    pub fn while_leading(mut self, leads: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let config = self.client.config().to_builder();
        let config = config.interceptor(WhileLeading(leads)).build();
        self.client = aws_sdk_autoscaling::Client::from_conf(config);
        self
    }

    /// Reads all groups: the named ones in batches, then the discovered ones.
    async fn read(&self, known: &mut GroupCache) -> Result<(), CloudError> {
        let mut groups = Vec::new();
        for batch in self.named.chunks(BATCH) {
            let names = batch.iter().map(|spec| spec.name.clone()).collect();
            let subject = format!("{} named node groups", batch.len());
            groups.extend(self.describe(Some(names), None, &subject).await?);
        }
        self.log_missing(known, &groups);
        if !self.filters.is_empty() {
            let filters = Some(self.filters.clone());
            groups.extend(self.describe(None, filters, "node groups by tags").await?);
        }
        groups.sort_by(|one, other| one.name.cmp(&other.name));
        groups.dedup_by(|one, other| one.name == other.name);
        log_suspended(&known.groups, &groups);
        known.groups = groups.into_iter().map(Arc::new).collect();
        Ok(())
    }

    /// Logs once that a named group does not exist. The other groups are not affected.
    fn log_missing(&self, known: &mut GroupCache, found: &[NodeGroup]) {
        let names = self.named.iter().map(|spec| &spec.name);
        let missing: Vec<String> = names
            .filter(|name| !found.iter().any(|group| *group.name == ***name))
            .cloned()
            .collect();
        for name in missing.iter().filter(|name| !known.missing.contains(name)) {
            let region = &self.region;
            tracing::warn!(node_group = %name, %region, "AWS has no such Auto Scaling group: left out");
        }
        known.missing = missing;
    }

    async fn describe(
        &self,
        names: Option<Vec<String>>,
        filters: Option<Vec<Filter>>,
        subject: &str,
    ) -> Result<Vec<NodeGroup>, CloudError> {
        let pages = self
            .client
            .describe_auto_scaling_groups()
            .set_auto_scaling_group_names(names)
            .set_filters(filters)
            .max_records(i32::try_from(BATCH).unwrap_or(i32::MAX))
            .into_paginator();
        let answer: Result<Vec<_>, _> = pages.items().send().collect().await;
        let answer = answer.map_err(|error| call_error(DESCRIBE, subject, error))?;
        let groups = answer.iter();
        Ok(groups
            .filter_map(|group| {
                let name = group.auto_scaling_group_name();
                let spec = self.named.iter().find(|spec| Some(&*spec.name) == name);
                groups::node_group(group, spec, &self.region, &self.prices)
            })
            .collect())
    }

    /// Reads a group's present state, for an order. Invalidates the cache, whether or
    /// not the order succeeds.
    async fn current(&self, call: &str, name: &str) -> Result<NodeGroup, CloudError> {
        let known = &mut *self.cache.lock().await;
        let is_ours = known.groups.iter().any(|group| *group.name == *name)
            || self.named.iter().any(|spec| spec.name == name);
        if !is_ours {
            return Err(order_error(
                "NotFound",
                call,
                name,
                "it is not one of our node groups",
            ));
        }
        known.read_at = None;
        let subject = format!("node group {name}");
        let found = self.describe(Some(vec![name.to_owned()]), None, &subject);
        let group = found.await?.pop();
        group.ok_or_else(|| {
            order_error("NotFound", call, name, "AWS has no such Auto Scaling group")
        })
    }

    async fn set_desired_capacity(&self, group: &str, size: u32) -> Result<(), CloudError> {
        let size = i32::try_from(size)
            .map_err(|_| order_error("InvalidSize", SET, group, &format!("{size} is no size")))?;
        let answer = self
            .client
            .set_desired_capacity()
            .auto_scaling_group_name(group)
            .desired_capacity(size)
            .honor_cooldown(false)
            .send()
            .await;
        let subject = format!("node group {group} to {size}");
        answer
            .map(drop)
            .map_err(|error| call_error(SET, &subject, error))
    }
}

/// Logs the suspended processes of groups that had others before.
fn log_suspended(before: &[Arc<NodeGroup>], now: &[NodeGroup]) {
    for group in now {
        let known = before.iter().find(|known| known.name == group.name);
        let known = known.map_or(&[][..], |known| &known.suspended);
        if *known != group.suspended[..] {
            let (node_group, suspended) = (&group.name, group.suspended.join(", "));
            tracing::info!(%node_group, %suspended, "AWS' suspended processes of a node group");
        }
    }
}

impl CloudProvider for AwsAutoScaling {
    fn conventions(&self) -> Conventions {
        CONVENTIONS
    }

    async fn node_groups(&self, now: Timestamp) -> Result<Vec<Arc<NodeGroup>>, CloudError> {
        let known = &mut *self.cache.lock().await;
        let is_fresh = known
            .read_at
            .is_some_and(|read_at| (0..CACHE_MS).contains(&now.since(read_at)));
        if !is_fresh {
            self.read(known).await?;
            known.read_at = Some(now);
        }
        Ok(known.groups.clone())
    }

    async fn increase_size(
        &self,
        _now: Timestamp,
        group: &str,
        delta: u32,
    ) -> Result<(), CloudError> {
        let now = self.current(SET, group).await?;
        let size = now.target_size.saturating_add(delta);
        if size > now.max_size {
            let why = format!("{size} is above its largest size, {}", now.max_size);
            return Err(order_error("InvalidSize", SET, group, &why));
        }
        self.set_desired_capacity(group, size).await
    }

    async fn delete_instances(
        &self,
        _now: Timestamp,
        group: &str,
        provider_ids: &[Arc<str>],
    ) -> Vec<Result<(), CloudError>> {
        self.terminate_all(group, provider_ids).await
    }

    async fn decrease_target_size(
        &self,
        _now: Timestamp,
        group: &str,
        delta: u32,
    ) -> Result<(), CloudError> {
        let now = self.current(SET, group).await?;
        let is_there = |state: &InstanceState| !matches!(state, InstanceState::Deleting);
        let states = now.instances.iter().map(|instance| &instance.state);
        let there = states.filter(|state| is_there(state)).count();
        let size = now.target_size.checked_sub(delta);
        let size = size.filter(|size| *size as usize >= there).ok_or_else(|| {
            let target = now.target_size;
            let why =
                format!("{delta} less than {target} would take away some of {there} instances");
            order_error("InvalidSize", SET, group, &why)
        })?;
        self.set_desired_capacity(group, size).await
    }
}
