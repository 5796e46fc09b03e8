//! Updates the registry with the objects that name policies and their configurations. The
//! registry judges new versions by them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flyball_decision::policy::{ConfigurationsInUse, NODE_GROUPS, PolicyUser};
use flyball_nodes::options::ExpanderChoice;
use flyball_replicas::control::{configurations_in_use, policy_users};
use flyball_replicas::ports::Autoscaler;
use flyball_sandbox::Registry;

use crate::clock::StopSignal;
use crate::http::Readiness;

/// Maximum time that the start waits for policies to be compiled: most take milliseconds,
/// and one that never ends must not block the others.
const POLICIES_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval at which changed objects are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The objects of the last update.
#[derive(Default)]
struct InUse(Option<(Vec<Arc<Autoscaler>>, Vec<ExpanderChoice>)>);

impl InUse {
    /// Updates the registry with changed objects. If only the status of an object has
    /// changed, its spec is the same and is not serialized again.
    fn update(
        &mut self,
        registry: &Registry,
        autoscalers: Vec<Arc<Autoscaler>>,
        expanders: Vec<ExpanderChoice>,
    ) {
        let has_changed = |same: fn(&Arc<Autoscaler>, &Arc<Autoscaler>) -> bool| {
            self.0.as_ref().is_none_or(|(known, choices)| {
                let mut pairs = known.iter().zip(&autoscalers);
                known.len() != autoscalers.len()
                    || *choices != expanders
                    || !pairs.all(|(known, now)| same(known, now))
            })
        };
        if has_changed(Arc::ptr_eq) {
            registry.set_policy_users(users(&autoscalers, &expanders));
        }
        if has_changed(|known, now| Arc::ptr_eq(&known.spec, &now.spec)) {
            registry.set_configurations_in_use(configurations(&autoscalers, &expanders));
        }
        self.0 = Some((autoscalers, expanders));
    }
}

/// Returns the objects that name each policy. The node groups count as one object.
fn users(
    autoscalers: &[Arc<Autoscaler>],
    expanders: &[ExpanderChoice],
) -> BTreeMap<String, Vec<PolicyUser>> {
    let mut users = policy_users(autoscalers);
    for expander in expanders {
        let node_groups = PolicyUser {
            object: NODE_GROUPS.to_owned(),
            namespace: Arc::default(),
            is_asked: true,
        };
        let of_policy = users.entry(expander.name.to_string()).or_default();
        of_policy.insert(0, node_groups);
    }
    users
}

/// Returns the configurations of each policy. Those of the operator's own flags have the
/// empty namespace, which comes first.
fn configurations(
    autoscalers: &[Arc<Autoscaler>],
    expanders: &[ExpanderChoice],
) -> BTreeMap<String, ConfigurationsInUse> {
    let mut in_use = configurations_in_use(autoscalers);
    for expander in expanders {
        let of_policy = in_use.entry(expander.name.to_string()).or_default();
        let node_groups = of_policy.entry(Arc::default()).or_default();
        node_groups.insert(Arc::clone(&expander.configuration));
    }
    in_use
}

/// Keeps the registry updated, beginning when the objects are known: before that, every
/// version would seem to fit. It ends with the stop. Policies are ready once the files were checked with the
/// configurations.
pub async fn keep_updated(
    registry: Arc<Registry>,
    readiness: Arc<Readiness>,
    in_use: impl Fn() -> (Vec<Arc<Autoscaler>>, Vec<ExpanderChoice>),
    stop: StopSignal,
) {
    tokio::select! {
        () = readiness.part_done("caches") => {}
        () = stop.clone().stopped() => return,
    }
    let mut in_use_before = InUse::default();
    let (autoscalers, expanders) = in_use();
    in_use_before.update(&registry, autoscalers, expanders);
    let looking = Arc::clone(&registry);
    tokio::task::spawn_blocking(move || {
        looking.rescan_within(POLICIES_TIMEOUT);
        readiness.done("policies");
    });
    while stop.sleep(POLL_INTERVAL).await {
        let (autoscalers, expanders) = in_use();
        in_use_before.update(&registry, autoscalers, expanders);
    }
}
