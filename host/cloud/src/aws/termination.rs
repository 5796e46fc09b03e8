//! Termination of instances, several at a time, each with its outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use flyball_nodes::cloud::{CloudError, InstanceState, NodeGroup};
use futures::{StreamExt as _, stream};

use super::error::{call_error, order_error};
use super::groups::state;
use super::{AwsAutoScaling, instance};

const TERMINATE: &str = "TerminateInstanceInAutoScalingGroup";
const DESCRIBE_INSTANCES: &str = "DescribeAutoScalingInstances";

/// Maximum number of concurrent calls.
const CONCURRENCY: usize = 8;
/// Maximum number of instances in a call of DescribeAutoScalingInstances: AWS' own limit.
const BATCH: usize = 50;
/// Classes of errors after which no further call is made in the same order: it would
/// fail likewise, and calls that are throttled prolong the throttling.
const STOPPING: [&str; 3] = ["AccessDenied", "Throttled", "Unreachable"];

/// What becomes of an instance.
enum Fate {
    /// It is settled without a call.
    Settled(Result<(), CloudError>),
    /// It is to be terminated.
    Terminate(String),
}

/// Where instances are that the group does not have: group and state of those that any
/// Auto Scaling group has.
type Elsewhere = BTreeMap<String, (String, String)>;

impl AwsAutoScaling {
    /// Terminates instances of a group and lowers its desired capacity by their number.
    /// Returns the outcome of each. Instances that are gone or being terminated are a
    /// success.
    pub(super) async fn terminate_all(
        &self,
        group: &str,
        ids: &[Arc<str>],
    ) -> Vec<Result<(), CloudError>> {
        let now = match self.current(TERMINATE, group).await {
            Ok(now) => now,
            Err(error) => return vec![Err(error); ids.len()],
        };
        let is_known = |id: &Arc<str>| now.instances.iter().any(|one| one.provider_id == *id);
        let unknown = ids.iter().filter(|id| !is_known(id));
        let unknown = unknown.filter_map(|id| instance(id).map(str::to_owned));
        let elsewhere = self.find_elsewhere(unknown.collect()).await;
        let fates = fates(&now, ids, &elsewhere);
        let stopped = OnceLock::new();
        let outcomes = fates.into_iter().map(|fate| async {
            match fate {
                Fate::Settled(outcome) => outcome,
                Fate::Terminate(instance) => self.terminate(group, &instance, &stopped).await,
            }
        });
        stream::iter(outcomes).buffered(CONCURRENCY).collect().await
    }

    /// Terminates an instance, unless a call before was answered with an error of a class
    /// in [`STOPPING`].
    async fn terminate(
        &self,
        group: &str,
        instance: &str,
        stopped: &OnceLock<&'static str>,
    ) -> Result<(), CloudError> {
        if let Some(class) = stopped.get() {
            let why = format!("{instance} was left out after another call failed: {class}");
            return Err(order_error(class, TERMINATE, group, &why));
        }
        let call = self
            .client
            .terminate_instance_in_auto_scaling_group()
            .instance_id(instance)
            .should_decrement_desired_capacity(true);
        let subject = format!("instance {instance} of node group {group}");
        let answer = call.send().await;
        match answer.map_err(|error| call_error(TERMINATE, &subject, error)) {
            Ok(_) => {
                tracing::info!("Terminated instance {instance} in autoscaling group: {group}");
                Ok(())
            }
            // It has gone since the look at the group.
            Err(error) if error.class == "NotFound" => Ok(()),
            Err(error) => {
                if STOPPING.contains(&error.class) {
                    // Several calls may fail at once.
                    let _ = stopped.set(error.class);
                }
                Err(error)
            }
        }
    }

    /// Looks for instances in all Auto Scaling groups.
    async fn find_elsewhere(&self, instances: Vec<String>) -> Result<Elsewhere, CloudError> {
        let mut elsewhere = Elsewhere::new();
        for batch in instances.chunks(BATCH) {
            let pages = self
                .client
                .describe_auto_scaling_instances()
                .set_instance_ids(Some(batch.to_vec()))
                .into_paginator();
            let found: Result<Vec<_>, _> = pages.items().send().collect().await;
            let found =
                found.map_err(|error| call_error(DESCRIBE_INSTANCES, &batch.join(", "), error))?;
            elsewhere.extend(found.into_iter().filter_map(|one| {
                let (group, state) = (one.auto_scaling_group_name?, one.lifecycle_state?);
                Some((one.instance_id?, (group, state)))
            }));
        }
        Ok(elsewhere)
    }
}

/// Decides about each of these instances by a look at their group.
fn fates(
    now: &NodeGroup,
    ids: &[Arc<str>],
    elsewhere: &Result<Elsewhere, CloudError>,
) -> Vec<Fate> {
    let refused =
        |class, why: &str| Fate::Settled(Err(order_error(class, TERMINATE, &now.name, why)));
    let mut removable = now.target_size.saturating_sub(now.min_size);
    let mut seen = BTreeSet::new();
    let fates = ids.iter().map(|id| {
        let Some(instance) = instance(id) else {
            return refused("NotFound", &format!("{id} is no instance of AWS"));
        };
        if !seen.insert(instance) {
            return refused("Other", &format!("{instance} is named twice"));
        }
        let known = now.instances.iter().find(|known| known.provider_id == *id);
        match known.map(|known| &known.state) {
            None => Fate::Settled(absent(now, instance, elsewhere)),
            Some(InstanceState::Deleting) => Fate::Settled(Ok(())),
            Some(_) if removable == 0 => {
                let min = now.min_size;
                let why = format!("without {instance} it would be below its smallest size, {min}");
                refused("MinSize", &why)
            }
            Some(_) => {
                removable -= 1;
                Fate::Terminate(instance.to_owned())
            }
        }
    });
    fates.collect()
}

/// Decides about an instance that the group does not have: whether it is gone, or is
/// something that must not be terminated.
fn absent(
    now: &NodeGroup,
    instance: &str,
    elsewhere: &Result<Elsewhere, CloudError>,
) -> Result<(), CloudError> {
    let refused = |class, why: &str| Err(order_error(class, TERMINATE, &now.name, why));
    match elsewhere.as_ref().map(|found| found.get(instance)) {
        Err(error) => Err(error.clone()),
        Ok(None) => Ok(()),
        Ok(Some((group, _))) if **group != *now.name => {
            refused("NotFound", &format!("{instance} is of node group {group}"))
        }
        Ok(Some((_, lifecycle))) => match state(lifecycle) {
            Some(InstanceState::Deleting) => Ok(()),
            // On standby or in a warm pool, or it has come since the look at the group.
            _ => refused("Other", &format!("{instance} is in the state {lifecycle}")),
        },
    }
}
