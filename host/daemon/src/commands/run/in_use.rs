//! Which objects name which policies, and with which configurations: the registry judges
//! new versions by it.

use std::sync::Arc;
use std::time::Duration;

use flyball_core::control::{configurations_in_use, policy_users};
use flyball_core::nodes::options::ExpanderChoice;
use flyball_core::ports::Autoscaler;
use flyball_sandbox::Registry;

use crate::http::Readiness;

/// How long the start waits for policies to be compiled: most take milliseconds, and one
/// that has no end must not keep the others from deciding.
const POLICIES_WITHIN: Duration = Duration::from_secs(10);

/// How often is looked for objects that have changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the registry was last told of.
#[derive(Default)]
struct InUse(Option<(Vec<Arc<Autoscaler>>, Vec<ExpanderChoice>)>);

impl InUse {
    /// Tells the registry what has changed. An object whose status alone has changed has
    /// the same spec: configurations are not written out anew for it.
    fn tell(
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
            registry.set_policy_users(policy_users(&autoscalers, &expanders));
        }
        if has_changed(|known, now| Arc::ptr_eq(&known.spec, &now.spec)) {
            registry.set_configurations_in_use(configurations_in_use(&autoscalers, &expanders));
        }
        self.0 = Some((autoscalers, expanders));
    }
}

/// Keeps the registry told, from when the objects are known: before, all would seem to
/// fit. Policies are settled once files were looked at in that light.
pub async fn keep_told(
    registry: Arc<Registry>,
    readiness: Arc<Readiness>,
    in_use: impl Fn() -> (Vec<Arc<Autoscaler>>, Vec<ExpanderChoice>),
) {
    readiness.part_done("caches").await;
    let mut told = InUse::default();
    let (autoscalers, expanders) = in_use();
    told.tell(&registry, autoscalers, expanders);
    let looking = Arc::clone(&registry);
    tokio::task::spawn_blocking(move || {
        looking.rescan_within(POLICIES_WITHIN);
        readiness.done("policies");
    });
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (autoscalers, expanders) = in_use();
        told.tell(&registry, autoscalers, expanders);
    }
}
